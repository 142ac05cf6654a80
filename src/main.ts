#!/usr/bin/env node
/** The executable: hands the command line to `cli/program.ts`. */
import { runCli } from './cli/program.ts'

// `limpet status | head` ends the pipe early, which is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

const { stdout, stderr, env } = process
process.exit(await runCli(process.argv.slice(2), { stdout, stderr, env, cwd: process.cwd() }))
