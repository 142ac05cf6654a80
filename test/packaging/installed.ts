/**
 * limpet as people get it: the archive that `npm pack` makes of a clean checkout, installed into an empty folder. Its commands
 * run there as a user types them, and know nothing of the checkout.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { startProgram, type Process } from '../cli/cli-stage.ts'
import { HERE } from '../support/built.ts'
import { inherited } from '../support/inherited.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { until } from '../support/poll.ts'

/** What a clone has not: made by the tools, or by running limpet. */
const NOT_CLONED = [
  'node_modules',
  'dist',
  '.git',
  '.cache',
  'coverage',
  'limpet-data',
  'npm-shrinkwrap.json',
]

export interface Installed {
  /** To begin with an empty folder; then `node_modules` is in it. */
  readonly dir: string
  /** Where the archive was made. */
  readonly checkout: string
  /** Starts an installed `limpet`, in `dir` or elsewhere. */
  limpet(args: readonly string[], cwd?: string): Process
  /** Starts any other program. */
  start(program: string, args: readonly string[], cwd?: string): Process
}

/** Packs this checkout as a clone of it would, and installs the archive with what it needs to run, from npm's cache or registry. */
export async function installPacked(): Promise<Installed> {
  const { folder, archive, checkout } = await pack()
  const dir = join(folder, 'empty')
  mkdirSync(dir)
  // npm looks for a package in the folders above too: a prefix keeps it here.
  await said(start('npm', ['install', '--prefix', dir, '--prefer-offline', '--omit=dev', archive], dir))
  return {
    ...{ dir, checkout },
    limpet: (args, cwd = dir) => start(join(dir, 'node_modules/.bin/limpet'), args, cwd),
    start: (program, args, cwd = dir) => start(program, args, cwd),
  }
}

/** @returns the archive, alone in a folder that goes with the run, and the checkout that it was made in */
export async function pack(): Promise<{ folder: string; archive: string; checkout: string }> {
  const root = mkdtempSync(join(tmpdir(), 'limpet-packed-'))
  const remove = () => rmSync(root, { recursive: true, force: true })
  leaveBehind({ clear: () => Promise.resolve().then(remove), kill: remove })
  const [checkout, folder] = [join(root, 'checkout'), join(root, 'packed')]
  cpSync(HERE, checkout, { recursive: true, filter: (path) => !NOT_CLONED.includes(basename(path)) })
  // As after `npm ci`. Types were looked at by `npm run check`, and take most of the time of a build.
  symlinkSync(join(HERE, 'node_modules'), join(checkout, 'node_modules'))
  const build = join(checkout, 'tsconfig.build.json')
  writeFileSync(build, readFileSync(build, 'utf8').replace('"compilerOptions": {', '$& "noCheck": true,'))
  mkdirSync(folder)
  const packed = await said(start('npm', ['pack', '--pack-destination', folder], checkout))
  return { folder, archive: join(folder, packed.trim().split('\n').at(-1) ?? ''), checkout }
}

/** What a command wrote to standard output. @throws where it ends with anything but 0 */
export async function said(command: Process): Promise<string> {
  const status = await command.ended
  if (status !== 0) throw new Error(`exit status ${status}: ${command.out}${command.err}`)
  return command.out
}

/** The first line that matches of what a command writes, as soon as it is there. @throws where it ends without one */
export async function lineOf(command: Process, pattern: RegExp): Promise<string> {
  let over = false
  void command.ended.then(() => (over = true))
  const found = () => `${command.out}\n${command.err}`.split('\n').find((line) => pattern.test(line))
  await until(() => found() !== undefined || over, { what: `a line ${String(pattern)}: ${command.err}` })
  const line = found()
  if (line === undefined) throw new Error(`it ended without ${String(pattern)}: ${command.out}${command.err}`)
  return line
}

/** Without what npm sets for the script that runs the tests, which is about this checkout. */
function start(program: string, args: readonly string[], cwd: string): Process {
  const entries = Object.entries(inherited()).filter(([name]) => !/^(npm_|INIT_CWD$)/.test(name))
  return startProgram(program, args, { cwd, env: Object.fromEntries(entries) })
}
