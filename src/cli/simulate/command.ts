/** `limpet simulate` on the command line: its options. A signal ends it in good order. */
import type { Command } from 'commander'
import type { Io } from '../io.ts'
import { parseSizes } from './options.ts'
import type { SimulateOptions } from './options.ts'
import { stopOnSignal } from '../stop-signal.ts'

export function registerSimulate(program: Command, io: Io): void {
  program
    .command('simulate')
    .description('the demo: a fleet of loopback homeservers and traffic around an embedded daemon')
    .option('--servers <n>', 'remote homeservers', '40')
    .option('--rooms <n>', 'rooms', '60')
    .option('--events <n>', 'events', '3000')
    .option('--seed <n>', 'the same seed gives the same run', '1')
    .option('--json', 'print the verdict as JSON')
    .option('--keep', "keep the daemon's folder (configuration, database and log)")
    .option('--keep-running', 'go on after the verdict, until Ctrl-C, and print what to try meanwhile')
    .action(async (options: SimulateOptions) => {
      const sizes = parseSizes(options)
      const stop = new AbortController()
      const off = stopOnSignal(stop)
      try {
        // Loaded only here: the whole daemon stands behind it.
        const { runSimulate } = await import('./simulate.ts')
        await runSimulate(
          {
            ...{ sizes, json: options.json === true, keep: options.keep === true },
            keepRunning: options.keepRunning === true,
          },
          { io, signal: stop.signal },
        )
      } finally {
        off()
      }
    })
}
