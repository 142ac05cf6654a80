/**
 * Processes that are killed, stopped and ended while events and EDUs come in, servers join and leave, and sticky events are
 * owed to who joins: everything arrives where it belongs and nowhere else. `LIMPET_KILLS` says how often; see
 * docs/chaos.md.
 */
import { expect } from 'chai'
import { figures, QUEUES, say, setStage, type Stage } from './stage.ts'
import { remoteHangingUp, type HangingUp } from './hanging-up.ts'
import { itOnOne, KILLS, STOPS } from './length.ts'
import type { LimpetProcess } from './process.ts'
import type { Random } from './random.ts'
import { until } from '../support/poll.ts'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
/** Dealt like cards, so that the first four kills are one of each; after those, of six, four are of those that deliver. */
const EACH = ['one that delivers', 'the other one', 'the one that takes', 'all at once'] as const
const VICTIMS = [...EACH, 'one that delivers', 'the other one'] as const
type Victim = (typeof EACH)[number]
/** What a kill and the start after it may take on a slow and busy machine, ms. */
const A_KILL_MS = 30_000
/** The number of a remote that hangs up. */
const HANGING_UP = 4
/** Nobody gives up requests in flight because the machine is busy: then SIGTERM would rightly end with 1. */
const GRACE_MS = 30_000

for (const queue of QUEUES) {
  describe(`processes that are killed during traffic, queue on ${queue}`, function () {
    this.timeout(300_000 + KILLS * A_KILL_MS)
    let stage: Stage
    let hangingUp: HangingUp | undefined
    beforeEach(async function () {
      stage = await setStage(this, {
        ...{ queue, edus: true, settings: () => ({ shutdown_grace_ms: GRACE_MS }) },
        makeRemote: async (world, index) => {
          if (index !== HANGING_UP) return world.remote()
          hangingUp = await remoteHangingUp(world, Math.random)
          return hangingUp.remote
        },
      })
    })
    afterEach(async () => {
      await stage.remove()
      await hangingUp?.close()
    })
    const itHere = itOnOne(queue)

    it(`kill -9 at ${KILLS} random moments: everything arrives where it belongs, once and in order, under the id and bytes of its first time`, async () => {
      const { random, traffic } = stage
      let ingest = await stage.startIngest()
      const deliver = await Promise.all([stage.startDeliver(), stage.startDeliver()])
      const killIngest = async () => {
        await ingest.kill()
        ingest = await stage.startIngest()
      }
      const killDeliver = async (which: number) => {
        await deliver[which]!.kill()
        deliver[which] = await stage.startDeliver()
      }
      const running = traffic.run()
      const kills: Record<Victim, () => Promise<unknown>> = {
        'one that delivers': () => killDeliver(0),
        'the other one': () => killDeliver(1),
        'the one that takes': killIngest,
        'all at once': () => Promise.all([killIngest(), killDeliver(0), killDeliver(1)]),
      }
      let victims = shuffled(EACH, random)
      for (let kill = 0; kill < KILLS; kill += 1) {
        await pause(300 + 900 * random())
        if (victims.length === 0) victims = shuffled(VICTIMS, random)
        await kills[victims.pop()!]()
      }
      traffic.stop()
      await running
      await stage.settled()
      const { transactions, repeats, replays, edus } = figures(stage.remotes, traffic.ledger)
      expect(replays, 'sticky events that only a join brought').to.be.above(0)
      say(
        `${KILLS} kills, ${traffic.events} events and ${traffic.edus} EDUs, ${transactions} transactions with ${edus} EDUs, ${repeats} repeats, ${replays} replays, ${traffic.retried} batches retried, seed ${stage.seed}`,
      )
      await Promise.all([ingest, ...deliver].map((limpet) => limpet.terminate()))
    })

    itHere(
      'a process that was stopped beyond its lease writes nothing and starts nothing when it goes on',
      async () => {
        const { traffic, world } = stage
        const ingest = await stage.startIngest()
        const stale = await stage.startDeliver()
        const running = traffic.run()
        await until(async () => (await held(stage)).length > 0, {
          what: 'the first to hold a destination',
          everyMs: 1,
        })
        stale.signal('SIGSTOP')
        const ids = new Set(
          (await world.pool.query<{ id: string }>('select id from workers')).rows.map(({ id }) => id),
        )
        const fences = await held(stage)
        const other = await stage.startDeliver()
        await until(
          async () =>
            (await world.pool.query('select from workers where lease_until < now_ms()')).rowCount === 1,
          {
            what: 'its lease to be over',
            withinMs: 60_000,
          },
        )
        const wokenAt = await nowMs(stage)
        stale.signal('SIGCONT')
        await pause(1_500)
        // Under the old id it has written nothing since; under a new one it may work again.
        const open = await world.pool.query<{ worker: string }>(
          'select worker from open_transactions where started_at >= $1',
          [wokenAt],
        )
        expect(open.rows.filter(({ worker }) => ids.has(worker))).to.deep.equal([])
        for (const { name, fence } of fences) {
          const row = (
            await world.pool.query<{ fence: number; lease_owner: string | null }>(
              'select fence::int, lease_owner from destinations where name = $1',
              [name],
            )
          ).rows[0]!
          expect(row.fence, `the fence of ${name} moved on`).to.be.greaterThan(fence)
          expect(ids.has(row.lease_owner ?? '')).to.equal(false)
        }
        traffic.stop()
        await running
        await stage.settled()
        say(`it held ${fences.length} destinations; ${figures(stage.remotes).repeats} repeats`)
        await Promise.all([ingest, stale, other].map((limpet) => limpet.terminate()))
      },
    )

    itHere(
      'SIGTERM during traffic: exit 0, every acknowledgement written, nothing repeated at the next start',
      async () => {
        const { traffic, remotes } = stage
        remotes.forEach((remote) => remote.behave({ kind: 'ok', delayMs: 30 }))
        hangingUp?.calm()
        const ingest = await stage.startIngest()
        let deliver: LimpetProcess = await stage.startDeliver()
        const running = traffic.run()
        for (let stop = 0; stop < STOPS; stop += 1) {
          await pause(1_000)
          expect(await deliver.terminate()).to.equal(0)
          deliver = await stage.startDeliver()
        }
        traffic.stop()
        await running
        await stage.settled()
        const { transactions, repeats } = figures(remotes)
        expect(repeats).to.equal(0)
        say(`${STOPS} stops, ${transactions} transactions, 0 repeats`)
        expect(await ingest.terminate()).to.equal(0)
        expect(await deliver.terminate()).to.equal(0)
      },
    )
  })
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  return list
    .map((one) => ({ one, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one)
}

async function held({ world }: Stage): Promise<{ name: string; fence: number }[]> {
  const sql = 'select name, fence::int as fence from destinations where lease_owner is not null'
  return (await world.pool.query<{ name: string; fence: number }>(sql)).rows
}

async function nowMs({ world }: Stage): Promise<number> {
  return (await world.pool.query<{ now: number }>('select now_ms() as now')).rows[0]!.now
}
