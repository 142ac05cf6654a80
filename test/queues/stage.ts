/** A backend to try the queues on, and workers whose turns are counted. */
import { pino, type Logger } from 'pino'
import type { Backend } from '../../queues/backend.ts'
import { openBackend } from '../../queues/open-backend.ts'
import type { WakeTarget } from '../../queues/jobs.ts'
import { openQueues, type Queues } from '../../queues/queues.ts'
import { startWorkers, type Turn, type Workers } from '../../queues/workers.ts'
import { until } from '../support/poll.ts'
import type { Place } from './places.ts'

export const quiet = pino({ level: 'silent' })

export interface Stage {
  place: Place
  backend: Backend
  queues: Queues
  /** `queues.wake`, until it is taken: a call fails after two seconds, which a busy machine may need. */
  wake(targets: readonly WakeTarget[]): Promise<void>
  /** Likewise. */
  counts(): ReturnType<Queues['counts']>
  /** Workers of another process, as it were: with connections of their own. */
  work(options: Partial<WorkOptions> & { turn: Turn }): Promise<Workers>
  /** Closes everything, the workers first. */
  close(): Promise<void>
}

interface WorkOptions {
  fanout: (signal: AbortSignal) => Promise<void>
  concurrency: { delivery: number; recovery: number }
  roles: { deliver: boolean; fanout: boolean }
}

export async function makeStage(place: Place, log: Logger = quiet): Promise<Stage> {
  const closers: (() => Promise<void>)[] = []
  const open = async () => {
    const backend = await openBackend(place.config, { log })
    closers.push(() => backend.close())
    return backend
  }
  const backend = await open()
  await backend.migrate()
  const queues = openQueues({ backend, log })
  closers.push(() => queues.close())
  return {
    place,
    backend,
    queues,
    wake: async (targets) => {
      await until(() => queues.wake(targets).then(() => true), { what: 'a wake to be taken' })
    },
    counts: () => until(() => queues.counts(), { what: 'the counts' }),
    async work({ turn, fanout = () => Promise.resolve(), concurrency, roles }) {
      const workers = startWorkers({
        backend: await open(),
        turn,
        fanout,
        concurrency: concurrency ?? { delivery: 32, recovery: 32 },
        roles: roles ?? { deliver: true, fanout: true },
        log,
      })
      closers.push(() => workers.close(0))
      return workers
    },
    async close() {
      for (const close of closers.reverse()) await close()
    },
  }
}

/** Nothing waits and nothing is active, in any queue. */
export async function isIdle(queues: Queues): Promise<boolean> {
  const counts = await queues.counts()
  return Object.values(counts).every(({ waiting, active }) => waiting === 0 && active === 0)
}
