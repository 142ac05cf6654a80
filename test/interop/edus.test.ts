/**
 * EDUs of every kind, from a homeserver's ingest through limpet to a client of a real homeserver.
 *
 * Alice is on A, whose own sender is off; Bob is on B, in a room of Alice's. limpet reads A's events, and is given A's EDUs as any homeserver gives them.
 */
import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { registerClient, type Client } from './support/client.ts'
import { call, register, type Account } from './support/client-api.ts'
import { ephemeralIn, openDevice, type Device } from './support/device.ts'
import { say, startPair } from './support/homeservers.ts'
import { startLimpet, type Limpet } from './support/limpet.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'

describe('EDUs that a real homeserver gets from limpet', function () {
  oneStory(this)
  let a: Synapse
  let b: Synapse
  let alice: Client
  let account: Account
  let amy: Account
  let bob: Device
  let room: string
  let first: string
  let limpet: Limpet | null = null
  const started: Synapse[] = []

  before(async function () {
    ;({ a, b } = await startPair(this, { sendersOfA: ['limpet'], presence: true }))
    started.push(a, b)
    limpet = await startLimpet({ synapse: a })
    alice = await registerClient(a, 'alice')
    account = await register(b, 'bob')
    bob = await openDevice(b, account)
    room = await alice.createRoom()
    await call(
      b,
      'POST',
      `/_matrix/client/v3/join/${encodeURIComponent(room)}?via=${encodeURIComponent(a.serverName)}`,
      {
        token: account.token,
        body: {},
      },
    )
    first = await alice.send(room, 'welcome')
    await bob.sees('what Alice says', (synced) => JSON.stringify(synced).includes(first))
  })
  after(async () => {
    await limpet?.dispose()
    for (const one of started) await one.dispose()
  })
  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return
    for (const [name, one] of Object.entries({ a, b, limpet }))
      if (one !== null) say(`the end of ${name}'s log:\n${await one.logTail(20)}`)
  })

  const give = (edu_type: string, content: object, to: object = { rooms: [room] }) =>
    limpet!.ingest([{ type: 'edu', edu_type, content, ...to }])
  const toB = () => ({ destinations: [b.serverName] })

  it('a message to a device arrives, once', async () => {
    const content = (message_id: string, n: number) => ({
      ...{ sender: alice.userId, type: 'org.example.note', message_id },
      messages: { [bob.userId]: { '*': { n } } },
    })
    await give('m.direct_to_device', content('first', 1), toB())
    const got: unknown[] = []
    const all = (n: number) =>
      bob.sees(`message ${n}`, (synced) => {
        got.push(...(synced.to_device?.events ?? []).map(({ content }) => content['n']))
        return got.includes(n)
      })
    await all(1)
    await give('m.direct_to_device', content('first', 1), toB())
    await give('m.direct_to_device', content('second', 2), toB())
    await all(2)
    expect(got).to.deep.equal([1, 2])
  })

  it('Alice is typing, and is not any more', async () => {
    const typing = (on: boolean) => give('m.typing', { room_id: room, user_id: alice.userId, typing: on })
    const shows = (users: string[]) =>
      bob.sees(`typing: ${users.join()}`, (synced) =>
        ephemeralIn(synced, room, 'm.typing').some(
          ({ user_ids }) => JSON.stringify(user_ids) === JSON.stringify(users),
        ),
      )
    await typing(true)
    await shows([alice.userId])
    await typing(false)
    await shows([])
  })

  it('receipts arrive: one without a thread, one of the main thread, one of another', async () => {
    const second = await alice.send(room, 'and more')
    const receipt = (eventId: string, thread?: string) => ({
      [room]: {
        'm.read': {
          [alice.userId]: {
            event_ids: [eventId],
            data: { ts: 1_700_000_000_000, ...(thread !== undefined && { thread_id: thread }) },
          },
        },
      },
    })
    for (const [eventId, thread] of [
      [second, undefined],
      [first, 'main'],
      [second, first],
    ] as const) {
      await give('m.receipt', receipt(eventId, thread))
      await bob.sees(`a receipt of ${thread ?? 'no thread'}`, (synced) =>
        ephemeralIn(synced, room, 'm.receipt').some((content) => {
          const said = (
            content[eventId] as Record<string, Record<string, { thread_id?: string }>> | undefined
          )?.['m.read']?.[alice.userId]
          return said !== undefined && said.thread_id === thread
        }),
      )
    }
  })

  it('Alice is online, and says so', async () => {
    await give('m.presence', {
      push: [
        {
          user_id: alice.userId,
          presence: 'online',
          last_active_ago: 1_000,
          currently_active: true,
          status_msg: 'here',
        },
      ],
    })
    await bob.sees('that Alice is online', (synced) =>
      (synced.presence?.events ?? []).some(
        ({ sender, content }) =>
          sender === alice.userId && content['presence'] === 'online' && content['status_msg'] === 'here',
      ),
    )
  })

  const changed = (user: string) =>
    bob.sees(
      `that the devices of ${user} changed`,
      (synced) => synced.device_lists?.changed?.includes(user) === true,
    )

  it('a device of Amy’s has keys', async () => {
    amy = await register(a, 'amy')
    const asAmy = <T>(method: 'GET' | 'POST', path: string, body?: Record<string, unknown>) =>
      call<T>(a, method, `/_matrix/client/v3${path}`, { token: amy.token, body })
    await asAmy('POST', `/join/${encodeURIComponent(room)}`, {})
    await bob.sees('that Amy joined', (synced) => JSON.stringify(synced).includes(amy.userId))
    const { device_id } = await asAmy<{ device_id: string }>('GET', '/account/whoami')
    const keys = {
      ...{ user_id: amy.userId, device_id, algorithms: ['m.olm.v1.curve25519-aes-sha2'], signatures: {} },
      keys: { [`ed25519:${device_id}`]: 'nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk' },
    }
    await asAmy('POST', '/keys/upload', { device_keys: keys })
    await give('m.device_list_update', {
      ...{ user_id: amy.userId, device_id, stream_id: 2, prev_id: [], device_display_name: 'new', keys },
    })
    await changed(amy.userId)
  })

  it('Amy signs across her devices', async () => {
    const key = (usage: string, value: string) => ({
      ...{ user_id: amy.userId, usage: [usage] },
      keys: { [`ed25519:${value}`]: value },
    })
    const content = {
      user_id: amy.userId,
      master_key: key('master', 'nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk'),
      self_signing_key: {
        ...key('self_signing', 'DJMxFPYL2XaVcJaEg3VY3cGyC6mvbJkFnVDhJrPGAdk'),
        signatures: { [amy.userId]: {} },
      },
    }
    await give('m.signing_key_update', content)
    await changed(amy.userId)
  })

  it('limpet tells that they were acknowledged', async () => {
    interface Told {
      pending_edus: number | null
    }
    // An answer of a destination in traffic is written down with the next transaction, or a moment later.
    const pending = async () => (await limpet!.get<Told>(`/v1/destinations/${b.serverName}`)).pending_edus
    await until(async () => (await pending()) === 0, { what: 'all to be acknowledged' })
  })
})
