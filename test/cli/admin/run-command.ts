/** Runs one command line of those that speak to a running daemon; a failure is its exit status and its one line. */
import { Command } from 'commander'
import { registerAdminCommands } from '../../../src/cli/admin/commands.ts'
import { exitStatusOf, lineOf } from '../../../src/cli/cli-error.ts'

export interface Ran {
  status: number
  out: string
  error: string
}

export async function runCommand(cwd: string, args: readonly string[]): Promise<Ran> {
  let out = ''
  const io = {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: () => undefined },
    env: {},
    cwd,
  }
  const program = new Command('limpet').exitOverride().configureOutput({ writeErr: () => undefined })
  registerAdminCommands(program, io)
  try {
    await program.parseAsync(args, { from: 'user' })
    return { status: 0, out, error: '' }
  } catch (error) {
    return { status: exitStatusOf(error), out, error: lineOf(error) }
  }
}
