#!/usr/bin/env node
/** The executable: passes the command line to `cli/program.ts`, and makes sure that its output gets out. */
import { setFlagsFromString } from 'node:v8'

// With a large backlog most of what V8 holds is garbage that it has not looked for yet: it lets the heap grow to a multiple
// of what is used. A process that runs beside a homeserver should rather collect a little more often (docs/benchmarks.md).
setFlagsFromString('--heap-growing-percent=50')

const { argv, stdout, stderr } = process
const env = { ...process.env }
// It would turn off the check of certificates, silently, for everything that does not say what it demands.
delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
const args = argv.slice(2)
const daemon = args.includes('run')
// A daemon never ends by a SIGHUP, also not while it loads its program; what it does about one, `run` says.
if (daemon) process.on('SIGHUP', () => undefined)

// Loaded after that: a daemon takes most of a second for it.
const { watchOutput } = await import('./cli/output.ts')
const { exitStatusOf, lineOf } = await import('./cli/cli-error.ts')
const { printable } = await import('./observe/printable.ts')
const { makeSecrets } = await import('./observe/secrets.ts')
const out = watchOutput(stdout)
const err = watchOutput(stderr)

const secrets = makeSecrets()

// What nobody expected ends the process as before, but in one line and without a secret that the error may carry.
process.on('uncaughtException', (error) => {
  stderr.write(`limpet: ${printable(secrets.hide(lineOf(error)))}\n`)
  process.exit(exitStatusOf(error))
})

const { runCli } = await import('./cli/program.ts')
let status = await runCli(args, { stdout, stderr, env, cwd: process.cwd(), secrets })
// A command waits for its reader as any program does; a daemon that ends does not wait for a log that nobody reads.
const patienceMs = daemon ? 1_000 : 2 ** 31 - 1
await out.drained(patienceMs)
const failure = out.failure()
if (failure !== null && !daemon) {
  stderr.write(`limpet: standard output: ${failure.message}\n`)
  status = status === 0 ? 1 : status
}
await err.drained(1_000)
process.exit(status)
