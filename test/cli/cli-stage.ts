/** Command lines for tests: in this process with what they wrote caught, or as a real process. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { runCli } from '../../src/cli/program.ts'
import type { Network } from '../../src/daemon/open-outbound.ts'
import { generateKey } from '../../src/matrix/signing.ts'
import { builtMain } from '../support/built.ts'
import { inherited } from '../support/inherited.ts'
import { leaveBehind } from '../support/leftovers.ts'

export interface Said {
  status: number
  out: string
  err: string
}

/** Runs one command line here. */
export async function limpet(
  args: readonly string[],
  { cwd, env = {}, network }: { cwd: string; env?: Record<string, string>; network?: Network },
): Promise<Said> {
  let out = ''
  let err = ''
  const status = await runCli(args, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env,
    cwd,
    network,
  })
  return { status, out, err }
}

export interface Install {
  dir: string
  file: string
  key: string
  remove(): void
}

/** A folder with a key and a configuration: `server_name: a.example`, a free port, and `settings`. */
export function install(settings: object = {}): Install {
  const dir = mkdtempSync(join(tmpdir(), 'limpet-cli-'))
  const key = join(dir, 'signing.key')
  writeFileSync(key, generateKey((size) => randomBytes(size)).fileText)
  chmodSync(key, 0o600)
  const file = join(dir, 'limpet.yaml')
  writeFileSync(
    file,
    stringify({ server_name: 'a.example', signing_key_path: key, listen: { port: 0 }, ...settings }),
    { mode: 0o600 },
  )
  return { dir, file, key, remove: () => rmSync(dir, { recursive: true, force: true }) }
}

export interface Process {
  child: ChildProcess
  /** What it wrote so far. */
  readonly out: string
  readonly err: string
  /** Its status, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
}

/** What to give `node` so that it is a real `limpet`, and the environment for it. */
export function limpetCommand(args: readonly string[]): { args: string[]; env: NodeJS.ProcessEnv } {
  return { args: [builtMain(), ...args], env: inherited() }
}

/** Starts a real `limpet`. It goes with the test run. */
export function startLimpet(
  args: readonly string[],
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Process {
  const command = limpetCommand(args)
  return startProgram(process.execPath, command.args, { cwd, env: { ...command.env, ...env } })
}

/**
 * Runs a line as somebody has copied it into a shell: `limpet` and `npx limpet` are this one. A single command is then the
 * process itself, so signals reach it.
 */
export function startShell(
  line: string,
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Process {
  const bin = shims()
  return startProgram('bash', ['-c', line], {
    cwd,
    env: { ...inherited(), PATH: `${bin}:${process.env['PATH'] ?? ''}`, ...env },
  })
}

/** Makes what `startLimpet` and `startShell` need now, in the folder for temporary files that there is now. */
export function makeCommands(): void {
  shims()
}

let shimFolder: string | undefined

function shims(): string {
  if (shimFolder !== undefined) return shimFolder
  const folder = mkdtempSync(join(tmpdir(), 'limpet-bin-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  leaveBehind({ clear: () => Promise.resolve().then(remove), kill: remove })
  const run = `exec '${process.execPath}' '${builtMain()}' "$@"`
  writeFileSync(join(folder, 'limpet'), `#!/bin/sh\n${run}\n`, { mode: 0o755 })
  writeFileSync(join(folder, 'npx'), `#!/bin/sh\n[ "$1" = limpet ] || exit 9\nshift\n${run}\n`, {
    mode: 0o755,
  })
  return (shimFolder = folder)
}

/** Starts any program, with this environment and no other. It goes with the test run. */
export function startProgram(
  program: string,
  args: readonly string[],
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
): Process {
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const forget = leaveBehind({
    clear: async () => {
      child.kill('SIGKILL')
      await ended
    },
    kill: () => child.kill('SIGKILL'),
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (data: Buffer) => (out += data.toString()))
  child.stderr.on('data', (data: Buffer) => (err += data.toString()))
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (status, signal) => {
      forget()
      resolve(status ?? signal ?? 'SIGKILL')
    })
  })
  return {
    child,
    ended,
    get out() {
      return out
    },
    get err() {
      return err
    },
  }
}
