/**
 * As whom PostgreSQL runs. It refuses to run as root, so root needs a way to be somebody else.
 *
 * 1. Not root: as we are.
 * 2. Root: in a user namespace (`unshare -U`) in which we bear an ordinary user's number. To the
 *    file system we stay root, so a checkout and a `data_dir` under root's 0700 home will do.
 * 3. Root where namespaces are not allowed (many containers): as the account `postgres` or `nobody`,
 *    who then owns the database's directory; binaries it can't reach are copied there.
 *
 * Who owns an existing data directory decides: what was begun in way 3 goes on in way 3.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { spawn } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Program } from './embedded-program.ts'
import { binary, EmbeddedError } from './embedded-program.ts'

/** Starts programs of PostgreSQL as a user under whom they agree to run. */
export interface RunAs {
  /** For the log: `this user`, `a user namespace as nobody`, `the account nobody`. */
  how: string
  program: Program
  launch(file: string, args: readonly string[], options: SpawnOptions): ChildProcess
  /** Gives a file or directory that we made (and what is in it) to that user. */
  own(path: string): void
}

interface Account {
  name: string
  uid: number
  gid: number
}

/** PostgreSQL needs nothing of our environment, and must not see its PG… variables or our secrets. */
const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

/**
 * @param room the database's directory in `data_dir`; exists, absolute
 * @throws EmbeddedError `EMBEDDED_USER` when root finds nobody to be
 */
export async function findRunAs(program: Program, room: string): Promise<RunAs> {
  if (process.getuid?.() !== 0) {
    return { how: 'this user', program, launch: start, own: () => undefined }
  }
  const owner = existsSync(join(room, 'data')) ? lstatSync(join(room, 'data')).uid : 0
  const accounts = readAccounts()
  const namespaced = owner === 0 ? await inNamespace(program, room, accounts) : null
  return namespaced ?? (await asAccount(program, room, accounts, owner))
}

async function inNamespace(program: Program, room: string, accounts: Account[]): Promise<RunAs | null> {
  // initdb looks its own number up in /etc/passwd and gives up when it isn't there.
  const account = accounts.find(({ name }) => name === 'nobody') ?? accounts[0]
  if (!account) return null
  const launch: RunAs['launch'] = (file, args, options) => {
    const unshare = ['-U', `--map-user=${account.uid}`, `--map-group=${account.gid}`, '--', file]
    return start('unshare', [...unshare, ...args], options)
  }
  if (!(await canRun(launch, program, room))) return null
  return { how: `a user namespace as ${account.name}`, program, launch, own: () => undefined }
}

async function asAccount(program: Program, room: string, accounts: Account[], owner: number): Promise<RunAs> {
  const account =
    owner === 0
      ? ['postgres', '_postgres', 'nobody'].flatMap((name) => accounts.find((a) => a.name === name) ?? [])[0]
      : { name: String(owner), uid: owner, gid: lstatSync(join(room, 'data')).gid }
  if (!account) throw nobodyToBe(owner, 'there is neither an account `postgres` nor `nobody`')
  const launch: RunAs['launch'] = (file, args, options) =>
    start(file, args, { ...options, uid: account.uid, gid: account.gid })
  const own = (path: string) => ownAll(path, account)

  const dataDir = dirname(room)
  // What lies above `data_dir` is not ours to open.
  const reaches = (directory: string) => succeeds(launch, 'sh', ['-c', 'cd "$1"', 'sh', directory])
  if (!(await reaches(dirname(dataDir))))
    throw nobodyToBe(owner, `the account ${account.name} can't reach ${dataDir}`)
  // It is closed for its secrets' sake, but these are 0600 themselves: that account may pass through, not look around.
  if (!(await reaches(dataDir))) chmodSync(dataDir, lstatSync(dataDir).mode | 0o001)
  if (owner === 0) own(room)
  if (await canRun(launch, program, room)) return { how: `the account ${account.name}`, program, launch, own }
  const copy = copyProgram(program, room)
  own(copy.native)
  if (await canRun(launch, copy, room))
    return { how: `the account ${account.name}`, program: copy, launch, own }
  throw nobodyToBe(owner, `PostgreSQL does not run as the account ${account.name} in ${room}`)
}

function nobodyToBe(owner: number, why: string): EmbeddedError {
  const unable =
    owner === 0
      ? 'user namespaces (unshare -U) are not available here'
      : `its data belongs to the user id ${owner}`
  return new EmbeddedError(
    'EMBEDDED_USER',
    `PostgreSQL does not run as root, ${unable}, and ${why}: ` +
      'run limpet as an ordinary user, put `data_dir` where other users can get (not under a 0700 home), ' +
      'or set `database` to a postgres:// URL',
  )
}

/** Can that user run the program, and write into the room? (Without `test` it would be found out half-way.) */
function canRun(launch: RunAs['launch'], program: Program, room: string): Promise<boolean> {
  const script = 'cd "$1" && test -w . && exec "$2" --version'
  return succeeds(launch, 'sh', ['-c', script, 'sh', room, binary(program, 'postgres')])
}

function succeeds(launch: RunAs['launch'], file: string, args: string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = launch(file, args, { stdio: 'ignore', cwd: '/' })
    child.on('error', () => resolve(false))
    child.on('exit', (code) => resolve(code === 0))
  })
}

function start(file: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn(file, args, { ...options, env: ENVIRONMENT })
}

function copyProgram(program: Program, room: string): Program {
  const native = join(room, `program-${program.version}`)
  mkdirSync(native, { recursive: true, mode: 0o700 })
  cpSync(program.native, native, { recursive: true, verbatimSymlinks: true })
  return { ...program, native }
}

function ownAll(path: string, account: Account): void {
  lchownSync(path, account.uid, account.gid)
  if (!lstatSync(path).isDirectory()) return
  for (const name of readdirSync(path)) ownAll(join(path, name), account)
}

function readAccounts(): Account[] {
  const lines = existsSync('/etc/passwd') ? readFileSync('/etc/passwd', 'utf8').split('\n') : []
  return lines.flatMap((line) => {
    const [name = '', , uid = '', gid = ''] = line.split(':')
    return Number(uid) > 0 ? [{ name, uid: Number(uid), gid: Number(gid) }] : []
  })
}
