/**
 * Processes that are killed while a search for refused PDUs is under way (contract 5.9): it goes on where it was. Nothing is lost, a room keeps its
 * order, at most one id is unanswered, and what is refused is set aside, shown, and taken when the remote changes its mind.
 */
import { expect } from 'chai'
import { matrixError, ok, type Behaviour, type SeenRequest } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { TOKENS, type SentEvent } from '../e2e/world.ts'
import { until } from '../support/poll.ts'
import { itAtLength, itOnOne, KILLS } from './length.ts'
import { makeLedger, type Ledger } from './ledger.ts'
import { figures, QUEUES, say, setStage, type Stage } from './stage.ts'
import { settled } from './verdict.ts'

/** Each is killed at other requests of its search than the others. */
const REMOTES = 12
const ROOMS = ['!a:home.example', '!b:home.example', '!c:home.example', '!d:home.example']
const EVENTS = 30
/** In two of the rooms. */
const POISON = [9, 22] as const
/** A search for them takes at least so many requests, those of the empty transactions too. */
const STEPS = 20
/** Beyond the longest wait for a lease that has to run out on a busy machine. */
const SOON_MS = 120_000

interface Listed {
  id: string
  event_id: string | null
  status: number | null
}

for (const queue of QUEUES) {
  describe(`processes that are killed during a search, queue on ${queue}`, function () {
    this.timeout(900_000)
    let stage: Stage
    let ledger: Ledger
    let events: SentEvent[]
    let poison: Set<string>
    beforeEach(async function () {
      stage = await setStage(this, { queue, remotes: REMOTES })
      ledger = makeLedger()
      const servers = stage.remotes.map(({ serverName }) => serverName)
      for (const room of ROOMS) for (const server of servers) ledger.join(room, server)
      events = Array.from({ length: EVENTS }, (_, i) => stage.world.event(ROOMS[i % 4]!))
      events.forEach(({ eventId }, i) => ledger.say(ROOMS[i % 4]!, eventId, false))
      poison = new Set(POISON.map((i) => events[i]!.eventId))
    })
    afterEach(() => stage.remove())

    /** It waits before anybody delivers. */
    const post = async () => {
      const servers = stage.remotes.map(({ serverName }) => serverName)
      const joins = ROOMS.map((room) => ({ type: 'servers', room_id: room, set: servers }))
      expect(await stage.post([...joins, ...events.map(({ item }) => item)])).to.equal(200)
    }
    const answerTo = ({ pduIds }: SeenRequest): Behaviour =>
      pduIds.some((id) => poison.has(id)) ? matrixError(400, 'M_BAD_JSON', 'no') : ok
    const hasOthers = ({ received }: FakeHomeserver) =>
      events.every(({ eventId }) => received.has(eventId) || poison.has(eventId))
    /** Names of those whose search is over: both are set aside, and nothing else is apart. */
    const found = async () => {
      const { rows } = await stage.world.pool.query<{ name: string }>(
        `select d.name from destinations d join apart a on a.destination = d.id
          group by d.name having count(*) = $1 and count(*) filter (where a.grp is null) = $1`,
        [POISON.length],
      )
      const names = new Set(rows.map(({ name }) => name))
      return stage.remotes.filter((remote) => names.has(remote.serverName) && hasOthers(remote))
    }
    const ask = async (path: string, method: 'GET' | 'POST' = 'GET') => {
      const headers = { authorization: `Bearer ${TOKENS.admin}` }
      const answer = await fetch(`${stage.address}/v1/destinations/${path}`, { method, headers })
      expect(answer.status, path).to.equal(200)
      return (await answer.json()) as { quarantine: Listed[] }
    }

    /** All of them are shown, and taken when the remotes change their minds. */
    async function takenAtLast(): Promise<void> {
      for (const remote of stage.remotes) {
        const { quarantine } = await ask(`${remote.serverName}/quarantine`)
        expect(new Set(quarantine.map(({ event_id }) => event_id))).to.deep.equal(poison)
        for (const { status } of quarantine) expect(status).to.equal(400)
        remote.behave(ok)
        for (const { id } of quarantine) await ask(`${remote.serverName}/quarantine/${id}/retry`, 'POST')
      }
      const { remotes, seed } = stage
      await settled(remotes, ledger, { withinMs: SOON_MS, seed, order: 'rooms', setAside: poison })
    }

    itOnOne(queue)('kill -9 at each request of it, before that is answered', async () => {
      const { remotes } = stage
      const ingest = await stage.startIngest()
      await post()
      const targets = remotes.map((_, i) => i + 1)
      const hung = new Set<FakeHomeserver>()
      const steps = new Set<number>()
      for (const [i, remote] of remotes.entries())
        remote.behave((seen) => {
          if (seen.n !== targets[i]) return answerTo(seen)
          steps.add(seen.n)
          hung.add(remote)
          return { kind: 'hang' }
        })
      let deliver = await stage.startDeliver()
      let kills = 0
      for (;;) {
        // Each has its request unanswered, or has none left.
        await until(async () => new Set([...hung, ...(await found())]).size === REMOTES, {
          ...{ what: 'all to be where they are killed', withinMs: SOON_MS },
        })
        if (hung.size === 0) break
        await deliver.kill()
        kills += 1
        hung.clear()
        for (const i of targets.keys()) targets[i] = (targets[i] ?? 0) + REMOTES
        deliver = await stage.startDeliver()
      }
      const wanted = Array.from({ length: STEPS }, (_, i) => i + 1)
      expect(
        wanted.filter((n) => !steps.has(n)),
        'requests at which none was killed',
      ).to.deep.equal([])
      const { transactions, repeats } = figures(remotes)
      await takenAtLast()
      say(
        `${kills} kills at requests 1 to ${Math.max(...steps)} of ${REMOTES} searches: ${transactions} transactions, ${repeats} repeats`,
      )
      await Promise.all([ingest, deliver].map((limpet) => limpet.terminate()))
    })

    itAtLength(`kill -9 of one of two at ${KILLS} random moments of it`, async () => {
      const { remotes, random } = stage
      const ingest = await stage.startIngest()
      await post()
      for (const remote of remotes) remote.behave((seen) => ({ ...answerTo(seen), delayMs: 200 * random() }))
      const deliver = await Promise.all([stage.startDeliver(), stage.startDeliver()])
      let kills = 0
      for (; kills < KILLS && (await found()).length < REMOTES; kills += 1) {
        await new Promise((resolve) => setTimeout(resolve, 300 + 1_500 * random()))
        const which = random() < 0.5 ? 0 : 1
        await deliver[which].kill()
        deliver[which] = await stage.startDeliver()
      }
      await until(async () => (await found()).length === REMOTES, {
        ...{ what: 'every search to be over', withinMs: SOON_MS },
      })
      const { transactions, repeats } = figures(remotes)
      await takenAtLast()
      say(`${kills} kills, ${transactions} transactions, ${repeats} repeats, seed ${stage.seed}`)
      await Promise.all([ingest, ...deliver].map((limpet) => limpet.terminate()))
    })
  })
}
