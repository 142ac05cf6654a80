/**
 * A large room with large events, servers that are in no hurry, and a small heap: what is held of all these bodies is
 * bounded by bytes, however many requests may be in flight. Nothing dies, and everything arrives.
 */
import { expect } from 'chai'
import { resident } from '../bench/resident.ts'
import { loopbackAuthority, makeEvent, makeWorld, TOKENS, type World } from '../e2e/world.ts'
import { until } from '../support/poll.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'
import { quietPort } from '../support/port.ts'
import { itAtLength } from './length.ts'
import { numbered, startManyReceivers, type ManyReceivers } from './many-receivers.ts'
import { startLimpet, type LimpetProcess } from './process.ts'
import { say } from './stage.ts'

const HEAP_MB = 512
const RESIDENT_MB = 900
const EVENTS = 300
const BYTES = 50_000
const SERVERS = 200
const ANSWER_AFTER_MS = 2_000
const ROOM = '!large:home.example'

describe(`${EVENTS} events of ${BYTES} bytes to ${SERVERS} slow servers, with a heap of ${HEAP_MB} MB`, function () {
  this.timeout(900_000)
  let world: World | undefined
  let database: FreshDatabase | undefined
  let receivers: ManyReceivers | undefined
  let limpet: LimpetProcess | undefined
  let port: number

  async function start() {
    database = await freshDatabase()
    const { tls } = await loopbackAuthority()
    receivers = await startManyReceivers(tls, SERVERS, ANSWER_AFTER_MS)
    // As it is by default: only what the stage makes small is put back.
    const settings = {
      federation: { max_concurrency: 512 },
      internal: { lease_ms: 15_000, linger_ms: 2_000 },
    }
    world = await makeWorld({ databaseUrl: database.url, settings })
    port = await quietPort()
    limpet = startLimpet(['run', '--config', world.file, '--listen', `127.0.0.1:${port}`], {
      NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}`,
    })
    await limpet.ready()
    return { world, receivers, limpet }
  }
  afterEach(async () => {
    await limpet?.kill()
    await receivers?.close()
    await world?.stop()
    await database?.drop()
  })

  const post = async (items: readonly unknown[]) => {
    const headers = { authorization: `Bearer ${TOKENS.ingest}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ items })
    const answer = await fetch(`http://127.0.0.1:${port}/v1/ingest`, { method: 'POST', headers, body })
    if (answer.status !== 200) throw new Error(`ingest answered ${answer.status}: ${await answer.text()}`)
  }
  const gauge = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN)
  }

  async function produce({ key }: World): Promise<void> {
    for (let n = 0; n < EVENTS;) {
      const items: unknown[] = []
      for (; items.length < 50; n += 1)
        items.push(makeEvent(key, ROOM, { body: `${numbered(n)}${'x'.repeat(BYTES - 700)}` }).item)
      await post(items)
    }
  }

  itAtLength(`all ${EVENTS * SERVERS} are delivered by a process that lives`, async () => {
    const { world, receivers, limpet } = await start()
    const began = performance.now()
    let heapUsed = 0
    let bodies = 0
    let ended = false
    const hasEnded = () => ended
    void limpet.exited().then(() => (ended = true))
    const tell = post([{ type: 'servers', room_id: ROOM, add: receivers.names }]).then(() => produce(world))
    const watch = until(
      async () => {
        if (hasEnded()) return true
        heapUsed = Math.max(heapUsed, await gauge('limpet_nodejs_heap_size_used_bytes'))
        bodies = Math.max(bodies, await gauge('limpet_bodies_bytes'))
        return receivers.delivered() === EVENTS * SERVERS
      },
      { what: 'everything to be delivered', withinMs: 600_000, everyMs: 200 },
    )
    await Promise.all([tell.catch((error: unknown) => until(hasEnded, { what: String(error) })), watch])
    const seconds = ((performance.now() - began) / 1000).toFixed(0)
    const mb = (bytes: number) => (bytes / 1e6).toFixed(0)
    const peak = resident(limpet.pid())?.peak
    say(
      `${receivers.delivered()} of ${EVENTS * SERVERS} in ${seconds} s, ${receivers.transactions()} transactions; ` +
        `most: resident ${peak?.toFixed(0)} MB, heap used ${mb(heapUsed)} MB, bodies ${mb(bodies)} MB`,
    )
    if (hasEnded()) expect.fail(`it has ended: ${limpet.output().slice(-3_000)}`)
    expect(receivers.delivered()).to.equal(EVENTS * SERVERS)
    // Heap, bodies and what the connections hold. It was 1,400 MB where each connection kept a buffer as large as its largest body.
    if (peak !== undefined) expect(peak, 'resident, MB').to.be.below(RESIDENT_MB)
  })
})
