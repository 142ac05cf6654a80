/** `limpet receive` on the command line: its options. A signal ends it in good order. */
import type { Command } from 'commander'
import type { Config } from '../../config/config.ts'
import { UsageError } from '../cli-error.ts'
import type { Io } from '../io.ts'
import { stopOnSignal } from '../stop-signal.ts'

const PORT = '8449'

export function registerReceive(
  program: Command,
  { io, configFor }: { io: Io; configFor: (command: Command) => Config },
): void {
  program
    .command('receive')
    .description('a strict remote homeserver on this machine that prints what limpet sends to it')
    .option('--port <n>', 'where it listens on 127.0.0.1; 0: any that is free', PORT)
    .option('--json', 'print a line of JSON for each thing that comes')
    .action(async ({ port: text, json = false }: { port: string; json?: boolean }, command: Command) => {
      const port = parsePort(text)
      const config = configFor(command)
      const stop = new AbortController()
      const off = stopOnSignal(stop)
      try {
        // Loaded only here: no other command needs a server.
        const { runReceive } = await import('./receive.ts')
        await runReceive({ config, port, json, io, signal: stop.signal })
      } finally {
        off()
      }
    })
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN
  if (port <= 65_535) return port
  throw new UsageError(
    `--port must be a whole number from 0 to 65535, not ${JSON.stringify(text.slice(0, 40))}`,
  )
}
