/** `limpet simulate` on the command line: its options, and what a signal does to it. */
import type { Command } from 'commander'
import type { Io } from '../io.ts'
import { parseSizes } from './options.ts'
import type { SimulateOptions } from './options.ts'

export function registerSimulate(program: Command, io: Io): void {
  program
    .command('simulate')
    .description('the demo: a fleet of loopback homeservers and traffic around an embedded daemon')
    .option('--servers <n>', 'remote homeservers', '40')
    .option('--rooms <n>', 'rooms', '60')
    .option('--events <n>', 'events', '5000')
    .option('--seed <n>', 'the same seed gives the same run', '1')
    .option('--json', 'print the verdict as JSON')
    .option('--keep', "keep the daemon's folder (configuration, database and log)")
    .action(async (options: SimulateOptions) => {
      const sizes = parseSizes(options)
      const stop = new AbortController()
      const off = onSignals(stop)
      try {
        // Loaded only here: the whole daemon stands behind it.
        const { runSimulate } = await import('./simulate.ts')
        await runSimulate(
          { sizes, json: options.json === true, keep: options.keep === true },
          { io, signal: stop.signal },
        )
      } finally {
        off()
      }
    })
}

/** A terminal sends SIGINT to npm and to us, and npm passes its own on: two within this time are one Ctrl-C. */
const SAME_CTRL_C_MS = 250

/** The first signal ends the story in good order, a later one at once. */
function onSignals(stop: AbortController): () => void {
  let first: number | null = null
  const onSignal = (signal: NodeJS.Signals) => {
    const now = performance.now()
    if (first === null) {
      first = now
      stop.abort()
    } else if (now - first > SAME_CTRL_C_MS) {
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}
