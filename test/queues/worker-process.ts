/** A worker in a process of its own, for a test to kill: says which turn it began, and never ends it. */
import { pino } from 'pino'
import type { QueueConfig } from '../../queues/backend.ts'
import { openBackend } from '../../queues/open-backend.ts'
import { startWorkers } from '../../queues/workers.ts'

const log = pino({ level: 'silent' })
const backend = await openBackend(JSON.parse(process.argv[2] ?? '') as QueueConfig, { log })
startWorkers({
  backend,
  turn: (destination) => {
    process.send?.(destination)
    return new Promise(() => undefined)
  },
  fanout: () => Promise.resolve(),
  concurrency: { delivery: 4, recovery: 4 },
  roles: { deliver: true, fanout: false },
  log,
})
