/** What operators see of PDUs that a destination refuses, and do with them, over HTTP and on the command line. */
import { expect } from 'chai'
import { matrixError, ok, type Behaviour, type SeenRequest } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { runCommand } from '../cli/admin/run-command.ts'
import { until } from '../support/poll.ts'
import { makeTwoRooms, OTHER, ROOM } from './two-rooms.ts'
import { TOKENS, type SentEvent, type World } from './world.ts'

const DAY = 86_400_000

interface Item {
  id: string
  kind: string
  event_id: string | null
  room_id: string | null
  tries: number
  status: number | null
  message: string | null
}

describe('the quarantine of a whole daemon', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    ;({ world, remote } = await makeTwoRooms())
  })
  afterEach(() => world.stop())

  const ask = async (path: string, method: 'GET' | 'POST' = 'GET') => {
    const { status, body } = await world.request(path, { method, token: TOKENS.admin })
    expect(status, JSON.stringify(body)).to.equal(200)
    return body as Record<string, unknown>
  }
  const own = (path = '') => `/v1/destinations/${remote.serverName}${path}`
  const list = async () => (await ask(own('/quarantine')))['quarantine'] as Item[]
  const limpet = async (...args: string[]) => {
    const where = ['--url', world.address, '--token', TOKENS.admin]
    const { status, out, error } = await runCommand('/', ['quarantine', remote.serverName, ...args, ...where])
    expect([status, error]).to.deep.equal([0, ''])
    return out.trimEnd()
  }
  const outcome = async ({ eventId }: SentEvent) =>
    ((await ask(`/v1/events/${eventId}`))['destinations'] as { outcome: string }[])[0]?.outcome
  const shown = async (name: string) => {
    const { body } = await world.request('/metrics')
    return new RegExp(`^limpet_${name} (\\S+)$`, 'm').exec(String(body))?.[1]
  }
  const hasAll = (events: readonly SentEvent[]) => events.every(({ eventId }) => remote.received.has(eventId))
  const refusing = (
    them: readonly SentEvent[],
    refusal: Behaviour = matrixError(403, 'M_FORBIDDEN', 'no'),
  ) => {
    const ids = new Set(them.map(({ eventId }) => eventId))
    remote.behave(({ pduIds }: SeenRequest) => (pduIds.some((id) => ids.has(id)) ? refusal : ok))
  }
  const requestsWith = ({ eventId }: SentEvent) =>
    remote.transactions
      .filter(({ pduIds }) => pduIds.includes(eventId))
      .reduce((sum, { requestsAt }) => sum + requestsAt.length, 0)

  /** Some that wait together, of which it refuses those at `bad`; resolves when these are set aside. */
  async function refused(count: number, bad: readonly number[], setAside: number) {
    await ask(own('/pause'), 'POST')
    const events = Array.from({ length: count }, (_, i) => world.event(i % 4 === 3 ? OTHER : ROOM))
    await world.ingest(events.map(({ item }) => item))
    const them = bad.map((i) => events[i]!)
    refusing(them)
    await ask(own('/resume'), 'POST')
    await until(async () => (await list()).length === setAside, { what: 'what is refused to be set aside' })
    return { events, them, others: events.filter((event) => !them.includes(event)) }
  }

  it('shows what is refused, and has it tried at once', async () => {
    const { them, others } = await refused(10, [5], 1)
    const [poison] = them as [SentEvent]
    await until(() => hasAll(others), { what: 'the others' })
    const [item] = await list()
    expect(item).to.include({ kind: 'pdu', event_id: poison.eventId, room_id: ROOM, tries: 0, status: 403 })
    await until(async () => (await ask(own()))['pending_pdus'] === 1, { what: 'the others written down' })
    expect(await ask(own())).to.include({ quarantined: 1 })
    expect((await ask(own()))['reason']).to.match(/^1 PDU that it refuses is set aside \(next try at /)
    expect(await outcome(poison)).to.equal('set_aside')
    expect(await limpet()).to.match(
      /^ID +WHAT +SINCE +TRIES +NEXT +STATUS\npdu-\d+ +\$\S+ .* 0 +in 1\dm +403\n +room !room:home\.example\n +answered 403 M_FORBIDDEN: no\n1 of 1$/,
    )
    await until(async () => (await shown('set_aside{kind="pdu"}')) === '1', { what: 'the gauge' })
    await until(async () => (await shown('pending_pdus')) === '1', { what: 'the gauge of what is owed' })

    const before = requestsWith(poison)
    await ask(own(`/quarantine/${item!.id}/retry`), 'POST')
    await until(async () => (await list())[0]?.tries === 1, { what: 'that it was tried' })
    expect(requestsWith(poison)).to.equal(before + 1)
    remote.behave(ok)
    expect(await limpet('--retry', item!.id)).to.equal(`${item!.id} of ${remote.serverName} is tried now`)
    await until(() => hasAll([poison]), { what: 'it, when it is taken' })
    await until(async () => (await list()).length === 0, { what: 'that written down' })
    expect(await limpet()).to.equal('nothing is set aside')
    expect(await outcome(poison)).to.equal('delivered')
    await until(async () => (await shown('set_aside{kind="pdu"}')) === '0', { what: 'the gauge' })
    expect(remote.violations).to.deep.equal([])
  })

  it('gives up what an operator drops, and never sends it again', async () => {
    const { them, others } = await refused(10, [5], 1)
    const [poison] = them as [SentEvent]
    const [item] = await list()
    expect(await limpet('--drop', item!.id)).to.equal(`${item!.id} of ${remote.serverName} is given up`)
    expect([await list(), await outcome(poison)]).to.deep.equal([[], 'given_up'])
    expect(await shown('given_up_total{why="operator"}')).to.equal('1')
    await until(() => hasAll(others), { what: 'the others' })
    await world.released()
    remote.behave(ok)
    await world.moveClock(2 * DAY)
    const later = world.event(ROOM)
    await world.ingest([later.item])
    await until(() => hasAll([later]), { what: 'what comes later' })
    expect(remote.received.has(poison.eventId)).to.equal(false)
    await until(async () => (await ask(own()))['pending_pdus'] === 0, { what: 'nothing owed' })
    expect(remote.violations).to.deep.equal([])
  })

  it('gives it up also while it is on its way', async () => {
    const { them } = await refused(6, [2], 1)
    const [poison] = them as [SentEvent]
    const [item] = await list()
    await world.released()
    const before = requestsWith(poison)
    refusing(them, { ...matrixError(500, 'M_UNKNOWN', 'no'), delayMs: 1_500 })
    await ask(own(`/quarantine/${item!.id}/retry`), 'POST')
    await until(() => requestsWith(poison) > before, { what: 'a request with it' })
    await ask(own(`/quarantine/${item!.id}/drop`), 'POST')
    await world.quiet()
    const after = requestsWith(poison)
    const later = world.event(ROOM)
    await world.ingest([later.item])
    await until(() => hasAll([later]), { what: 'what comes later' })
    await world.quiet()
    expect([await list(), await outcome(poison), requestsWith(poison)]).to.deep.equal([[], 'given_up', after])
    expect(remote.violations).to.deep.equal([])
  })

  it('lets a held room go on when it is dropped', async () => {
    // The last of their room: what is searched with them then waits with the room.
    const { them, others } = await refused(8, [4, 5, 6], 1)
    await until(async () => (await list())[0]?.kind === 'room', { what: 'the room to be held' })
    const [room] = await list()
    expect(room).to.include({ room_id: ROOM, event_id: null, status: 403 })
    const later = world.event(ROOM)
    const beside = world.event(OTHER)
    await world.ingest([later.item, beside.item])
    await until(() => hasAll([...others, beside]), { what: 'the others, and another room' })
    expect([await outcome(later), await outcome(them[0]!)]).to.deep.equal(['held', 'set_aside'])
    await until(async () => (await shown('held_rooms')) === '1', { what: 'the gauge' })
    await ask(own(`/quarantine/${room!.id}/drop`), 'POST')
    await until(() => hasAll([later]), { what: 'the rest of the room' })
    for (const one of them) expect(await outcome(one)).to.equal('given_up')
    expect(await shown('given_up_total{why="operator"}')).to.equal('3')
    await until(async () => (await ask(own()))['pending_pdus'] === 0, { what: 'nothing owed' })
    expect(remote.violations).to.deep.equal([])
  })
})
