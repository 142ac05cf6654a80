/**
 * As which user does PostgreSQL run? It refuses to run as root, so root needs another user, and one that no other
 * program shares: a program that runs as `nobody`, or another PostgreSQL's `postgres`, could read the database.
 *
 * 1. Not root: as the same user.
 * 2. Root, and there is an account `limpet` that can reach `data_dir`: as that account, which then owns the database's
 *    directory; binaries that it can't reach are copied there.
 * 3. Otherwise, root in a user namespace (`unshare -U`) in which we have an ordinary user's id. To the file system we
 *    are still root, so a checkout and a `data_dir` under root's 0700 home work, and no other user's programs can
 *    reach them.
 * 4. Otherwise not at all.
 *
 * The owner of an existing data directory decides first, and then the owner of `data_dir`. What an ordinary user began
 * goes on as that user, so that a command run as root beside a user's daemon leaves it usable. Up to limpet 0.1, a
 * database in root's `data_dir` could belong to `postgres` or `nobody`: it is taken over in way 2 or 3, and if neither
 * is possible it goes on with a warning.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Program } from './program.ts'
import { binary, EmbeddedError } from './program.ts'

/** Starts programs of PostgreSQL as a user under whom they agree to run. */
export interface RunAs {
  /** For the log: `this user`, `a user namespace as nobody`, `the account limpet`. */
  how: string
  /** Whose number the file system sees. */
  uid: number
  /** Whether that is another user than ours. */
  another: boolean
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

/** Its own, and those that every system has for others. */
const OWN = ['limpet', '_limpet']
const SHARED = ['postgres', '_postgres', 'nobody']

/**
 * @param room the database's directory in `data_dir`; exists, absolute
 * @throws EmbeddedError `EMBEDDED_USER` when root finds nobody to be
 */
export async function findRunAs(
  program: Program,
  room: string,
  warn: (what: string) => void = () => undefined,
): Promise<RunAs> {
  const us = process.geteuid?.() ?? 0
  if (process.getuid?.() !== 0) {
    return { how: 'this user', uid: us, another: false, program, launch: start, own: () => undefined }
  }
  const accounts = readAccounts()
  const found = existsSync(join(room, 'data')) ? lstatSync(join(room, 'data')) : null
  const home = lstatSync(dirname(room)).uid
  if (found === null && home !== 0) {
    const account = accounts.find(({ uid }) => uid === home)
    if (account !== undefined) return asAccount(program, room, account)
  }
  const owner = found === null || found.uid === 0 ? null : accountOf(found, accounts)
  if (owner !== null && (!SHARED.includes(owner.name) || owner.uid === home))
    return asAccount(program, room, owner)
  const own = accounts.find(({ name }) => OWN.includes(name))
  // What root began in a namespace goes on there.
  if (own !== undefined && found?.uid !== 0 && (await reaches(own, dirname(dirname(room)))))
    return asAccount(program, room, own)
  const namespaced = await inNamespace(program, room, { accounts, taken: owner !== null })
  if (namespaced !== null) {
    if (owner !== null) ownAll(room, { name: 'root', uid: 0, gid: 0 })
    return namespaced
  }
  if (own !== undefined) return asAccount(program, room, own)
  if (owner === null) {
    const whose = home === 0 ? '' : `, nor one with the id ${home}, to whom \`data_dir\` belongs`
    throw nobodyToBe(`there is no account \`limpet\`${whose}`)
  }
  warn(
    `PostgreSQL runs as the account ${owner.name}; other programs may run as it too, and could then read the database: ` +
      'create an account `limpet` (useradd --system limpet) and start again',
  )
  return asAccount(program, room, owner)
}

function accountOf({ uid, gid }: { uid: number; gid: number }, accounts: Account[]): Account {
  return accounts.find((one) => one.uid === uid) ?? { name: String(uid), uid, gid }
}

async function inNamespace(
  program: Program,
  room: string,
  { accounts, taken }: { accounts: Account[]; taken: boolean },
): Promise<RunAs | null> {
  // initdb looks its own number up in /etc/passwd and gives up when it isn't there.
  const account = accounts.find(({ name }) => name === 'nobody') ?? accounts[0]
  if (!account) return null
  const launch: RunAs['launch'] = (file, args, options) => {
    const unshare = ['-U', `--map-user=${account.uid}`, `--map-group=${account.gid}`, '--', file]
    return start('unshare', [...unshare, ...args], options)
  }
  // What belongs to another account is taken over first: of that room it can't be asked yet.
  const asked = taken ? '/' : room
  // Closed, and not root's: root's rights over it are not those of a namespace.
  const dataDir = dirname(room)
  if (lstatSync(dataDir).uid !== 0 && !(await succeeds(launch, 'sh', ['-c', 'cd "$1"', 'sh', dataDir])))
    letThrough(dataDir, 0)
  if (!(await canRun(launch, program, asked))) return null
  return {
    how: `a user namespace as ${account.name}`,
    uid: 0,
    another: false,
    program,
    launch,
    own: () => undefined,
  }
}

const launchAs =
  (account: Account): RunAs['launch'] =>
  (file, args, options) =>
    start(file, args, { ...options, uid: account.uid, gid: account.gid })

const reaches = (account: Account, directory: string): Promise<boolean> =>
  succeeds(launchAs(account), 'sh', ['-c', 'cd "$1"', 'sh', directory])

async function asAccount(program: Program, room: string, account: Account): Promise<RunAs> {
  const launch = launchAs(account)
  const own = (path: string) => ownAll(path, account)
  const dataDir = dirname(room)
  // What lies above `data_dir` is not ours to open.
  if (!(await reaches(account, dirname(dataDir))))
    throw nobodyToBe(`the account ${account.name} can't reach ${dataDir}`)
  // Closed for its secrets' sake: that account alone may pass through, not look around.
  if (!(await reaches(account, dataDir))) letThrough(dataDir, account.gid)
  if (lstatSync(room).uid !== account.uid) own(room)
  const as = { how: `the account ${account.name}`, uid: account.uid, another: true, launch, own }
  if (await canRun(launch, program, room)) return { ...as, program }
  const copy = copyProgram(program, room)
  own(copy.native)
  if (await canRun(launch, copy, room)) return { ...as, program: copy }
  throw nobodyToBe(`PostgreSQL does not run as the account ${account.name} in ${room}`)
}

function letThrough(dataDir: string, gid: number): void {
  const { uid, mode } = lstatSync(dataDir)
  chownSync(dataDir, uid, gid)
  chmodSync(dataDir, (mode & 0o700) | 0o010)
}

function nobodyToBe(why: string): EmbeddedError {
  return new EmbeddedError(
    'EMBEDDED_USER',
    `PostgreSQL does not run as root, user namespaces (unshare -U) are not available here, and ${why}: ` +
      'run limpet as an ordinary user, create an account for it (useradd --system limpet) that can reach `data_dir` ' +
      '(not under a 0700 home), or set `database` to a postgres:// URL',
  )
}

/** Can that user run the program, and write into the room? (Without `test` it would be found out half-way.) */
function canRun(launch: RunAs['launch'], program: Program, room: string): Promise<boolean> {
  const script = 'cd "$1" && { test . -ef / || test -w .; } && exec "$2" --version'
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
