/** Runs one command line of those that speak to a running daemon; a failure is its exit status and its one line. */
import { Command } from 'commander'
import { registerAdminCommands } from '../../../src/cli/admin/commands.ts'
import type { PrintingNeeds } from '../../../src/cli/admin/printing.ts'
import { exitStatusOf, lineOf } from '../../../src/cli/cli-error.ts'
import type { Output } from '../../../src/cli/io.ts'

export interface Ran {
  status: number
  out: string
  error: string
}

/** Without a terminal the screen is 100 columns wide, if `env` does not say otherwise. */
export async function runCommand(
  cwd: string,
  args: readonly string[],
  {
    env = { COLUMNS: '100' },
    terminal = {},
    needs,
  }: { env?: Record<string, string>; terminal?: Partial<Output>; needs?: PrintingNeeds } = {},
): Promise<Ran> {
  let out = ''
  const io = {
    stdout: { write: (text: string) => (out += text), ...terminal },
    stderr: { write: () => undefined },
    env,
    cwd,
  }
  const program = new Command('limpet').exitOverride().configureOutput({ writeErr: () => undefined })
  registerAdminCommands(program, io, needs)
  try {
    await program.parseAsync(args, { from: 'user' })
    return { status: 0, out, error: '' }
  } catch (error) {
    return { status: exitStatusOf(error), out, error: lineOf(error) }
  }
}
