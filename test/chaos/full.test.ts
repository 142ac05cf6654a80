/** No space left: on the disk of PostgreSQL, and in the memory that Redis may use. */
import { expect } from 'chai'
import { ownServer } from '../support/postgres.ts'
import { until } from '../support/poll.ts'
import { smallDisk, type SmallDisk } from '../support/small-disk.ts'
import { AT_LENGTH } from './length.ts'
import { figures, outlasted, QUEUES, say, setStage, type Stage } from './stage.ts'

const DISK_MB = 224
/** PostgreSQL keeps spent WAL files for later; here few, so that they fit. */
const SMALL = { min_wal_size: '32MB', max_wal_size: '48MB', shared_buffers: '16MB' }
/** Batches refused before there is space again: at length enough to come to the end of the WAL file, too. */
const REFUSALS = AT_LENGTH ? 60 : 8

for (const queue of AT_LENGTH ? QUEUES : (['PostgreSQL'] as const)) {
  describe(`a full disk under PostgreSQL, queue on ${queue}`, function () {
    this.timeout(600_000)
    let disk: SmallDisk
    let stage: Stage
    beforeEach(async function () {
      disk = smallDisk(this, DISK_MB)
      const server = await ownServer({ migrated: true, settings: SMALL, under: disk.path })
      stage = await setStage(this, { queue, pauseMs: 20, server })
    })
    afterEach(async () => {
      await stage.remove()
      disk.remove()
    })

    it('refuses what it cannot keep, loses nothing, and goes on when there is space again', async () => {
      const { traffic, server, world, remotes } = stage
      const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
      const pids = processes.map((limpet) => limpet.pid())
      const running = traffic.run()
      await until(() => remotes.every(({ received }) => received.size > 5), { what: 'traffic' })
      disk.fill()
      const written = await world.pool
        .query('create table too_much as select generate_series(1, 1000000)')
        .then(
          () => 'kept',
          (error: unknown) => (error as { code?: string }).code,
        )
      expect(written, 'what PostgreSQL says to a write').to.equal('53100')
      await until(() => refused(stage) >= REFUSALS, { what: 'refused batches', withinMs: 180_000 })
      disk.free()
      // Where even the WAL had no space, the server has ended itself; its operator starts it again.
      const ended = !isAlive(server.pid())
      if (ended) await server.start()
      const before = traffic.taken
      await until(() => traffic.taken > before + 5, { what: 'ingest to take again', withinMs: 120_000 })
      const answers = await outlasted(stage, { running, processes, pids })
      say(
        `refusals: ${answers}; PostgreSQL ${ended ? 'had ended itself' : 'lived on'}; ${figures(remotes).repeats} repeats, seed ${stage.seed}`,
      )
      await Promise.all(processes.map((limpet) => limpet.terminate()))
    })
  })
}

describe('a Redis that has no memory left', function () {
  this.timeout(600_000)
  let stage: Stage
  beforeEach(async function () {
    stage = await setStage(this, { queue: 'Redis', pauseMs: 30 })
  })
  afterEach(() => stage.remove())

  it('costs time and nothing else: ingest answers 200, and the sweep finds who is owed something', async () => {
    const { traffic, redis, remotes } = stage
    const requests = () => remotes.reduce((sum, remote) => sum + remote.requests, 0)
    const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
    const running = traffic.run()
    await until(() => requests() > 20, { what: 'traffic' })
    await redis!.command('CONFIG', 'SET', 'maxmemory', '1')
    const written = await redis!.command('SET', 'something', '1').catch((error: unknown) => String(error))
    expect(written).to.match(/OOM command not allowed/)
    const before = { taken: traffic.taken, requests: requests() }
    await until(() => traffic.taken > before.taken + 20 && requests() > before.requests + 100, {
      what: 'ingest and delivery to go on without memory in Redis',
      withinMs: 120_000,
    })
    await redis!.command('CONFIG', 'SET', 'maxmemory', '0')
    traffic.stop()
    await running
    await stage.settled()
    expect([...traffic.refusals], 'answers other than 200').to.deep.equal([])
    say(
      `${figures(remotes).transactions} transactions, ${figures(remotes).repeats} repeats, seed ${stage.seed}`,
    )
    await Promise.all(processes.map((limpet) => limpet.terminate()))
  })
})

function refused({ traffic }: Stage): number {
  return [...traffic.refusals.values()].reduce((sum, times) => sum + times, 0)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
