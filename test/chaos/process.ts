/**
 * A limpet in a process of its own, as a user runs it: started, killed, stopped and continued.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { builtMain } from '../support/built.ts'
import { inherited } from '../support/inherited.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { until } from '../support/poll.ts'

export interface LimpetProcess {
  pid(): number
  /** Resolves when it says that it runs. */
  ready(): Promise<void>
  signal(signal: NodeJS.Signals): void
  /** SIGKILL, and gone. */
  kill(): Promise<void>
  /** SIGTERM; its exit status. */
  terminate(): Promise<number | null>
  /** The exit status, once it has ended by itself. */
  exited(): Promise<number | null>
  output(): string
}

/**
 * `limpet ARGS` in this process' stead, with these settings over those of its file. `checkout`: of another release, which
 * has been installed there.
 */
export function startLimpet(
  args: readonly string[],
  settings: Record<string, string> = {},
  checkout?: string,
): LimpetProcess {
  const main = checkout === undefined ? [builtMain()] : ['--import', 'tsx', join(checkout, 'src', 'main.ts')]
  const child: ChildProcess = spawn(process.execPath, [...main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: checkout,
    env: { ...inherited(), LIMPET_LOG__LEVEL: 'info', ...settings },
  })
  let output = ''
  const collect = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-200_000)
  }
  child.stdout?.on('data', collect)
  child.stderr?.on('data', collect)
  const exit = once(child, 'exit').then(() => child.exitCode)
  const gone = () => child.exitCode !== null || child.signalCode !== null
  const kill = async () => {
    if (!gone()) child.kill('SIGKILL')
    await exit
  }
  leaveBehind({ clear: kill, kill: () => void child.kill('SIGKILL') })
  return {
    pid: () => child.pid ?? 0,
    ready: async () => {
      await until(() => output.includes('"limpet runs"') || gone(), {
        what: 'limpet to run',
        withinMs: 60_000,
      })
      if (gone()) throw new Error(`limpet ended with ${child.exitCode}: ${output.slice(-2_000)}`)
    },
    signal: (signal) => void child.kill(signal),
    kill,
    terminate: async () => {
      child.kill('SIGTERM')
      return exit
    },
    exited: () => exit,
    output: () => output,
  }
}
