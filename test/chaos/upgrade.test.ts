/**
 * From the release before to this one under traffic: its database is migrated while its processes work, new ones run
 * beside them, then new ones alone, and everything arrives where it belongs. `LIMPET_PREVIOUS` names a checkout of the
 * release before, with its packages installed; without it there is nothing to be upgraded, and nothing is tested here.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { figures, QUEUES, say, setStage, type Stage } from './stage.ts'
import { ownServer } from '../support/postgres.ts'
import { until } from '../support/poll.ts'

const MIGRATIONS = new URL('../../migrations', import.meta.url)
const PREVIOUS = process.env['LIMPET_PREVIOUS']
/** Whether that release has the migrations that this one has. */
const hasOurSchema =
  PREVIOUS !== undefined &&
  String(readdirSync(join(PREVIOUS, 'migrations'))) === String(readdirSync(MIGRATIONS))
/** Whether that release delivers EDUs. */
const knowsEdus =
  PREVIOUS !== undefined && existsSync(join(PREVIOUS, 'migrations', '0027_edus_in_transactions.sql'))
/** Batches of four events between two steps. */
const A_WHILE = 40

for (const queue of PREVIOUS === undefined ? [] : QUEUES) {
  describe(`an upgrade under traffic, queue on ${queue}`, function () {
    this.timeout(600_000)
    let stage: Stage
    beforeEach(async function () {
      stage = await setStage(this, {
        ...{ queue, edus: knowsEdus, server: await ownServer({ migrated: false }) },
        // Keys that the release before does not know.
        settings: () => ({ federation: { dns_servers: undefined, ramp_per_second: undefined } }),
      })
    })
    afterEach(() => stage.remove())

    const aWhile = async () => {
      const { traffic } = stage
      const before = traffic.taken
      await until(() => traffic.taken >= before + A_WHILE, { what: 'traffic', withinMs: 120_000 })
    }

    it('loses nothing, and sends nothing twice or to whom it is not for', async () => {
      const { traffic } = stage
      const before = await stage.startIngest({}, PREVIOUS)
      const deliver = [
        await stage.startDeliver({}, PREVIOUS),
        await stage.startDeliver({}, PREVIOUS),
      ] as const
      const running = traffic.run()
      await aWhile()
      // What it has not had answers for is left to the new one.
      await deliver[0].kill()
      const after = [await stage.startDeliver()]
      // Where the schema is the same, old and new work beside each other. Else those before go on until they see that it is
      // not theirs any more; then the new ones alone work.
      if (hasOurSchema) await aWhile()
      for (const limpet of hasOurSchema ? [] : [before, deliver[1]]) {
        await until(() => limpet.output().includes('takes no more work'), {
          what: 'a process of the release before to stop working',
          withinMs: 60_000,
        })
      }
      await before.terminate()
      const ingest = await stage.startIngest()
      traffic.withEdus(true)
      await aWhile()
      await deliver[1].terminate()
      after.push(await stage.startDeliver())
      await aWhile()
      traffic.stop()
      await running
      await stage.settled()
      const { transactions, repeats, replays, edus } = figures(stage.remotes, traffic.ledger)
      say(
        `${traffic.events} events and ${traffic.edus} EDUs${knowsEdus ? ' from the start' : ''}, ${transactions} transactions with ${edus} EDUs, ${repeats} repeats, ${replays} replays, ${traffic.retried} batches retried, seed ${stage.seed}`,
      )
      await Promise.all([ingest, ...after].map((limpet) => limpet.terminate()))
    })
  })
}
