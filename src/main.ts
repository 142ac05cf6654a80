#!/usr/bin/env node
/** The executable: hands the command line to `cli/program.ts`. */
import { setFlagsFromString } from 'node:v8'
import { exitStatusOf, lineOf } from './cli/cli-error.ts'
import { runCli } from './cli/program.ts'
import { makeSecrets } from './observe/secrets.ts'

// With a large backlog most of what V8 holds is garbage that it has not looked for yet: it lets the heap grow to a multiple
// of what is used. A process that runs beside a homeserver should rather collect a little more often (docs/benchmarks.md).
setFlagsFromString('--heap-growing-percent=50')

// `limpet status | head` ends the pipe early, which is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

const { stdout, stderr, env } = process
const secrets = makeSecrets()

// What nobody expected ends the process as before, but in one line and without a secret that the error may carry.
process.on('uncaughtException', (error) => {
  stderr.write(`limpet: ${secrets.hide(lineOf(error))}\n`)
  process.exit(exitStatusOf(error))
})

process.exit(await runCli(process.argv.slice(2), { stdout, stderr, env, cwd: process.cwd(), secrets }))
