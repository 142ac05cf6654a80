/**
 * A connection to limpet's own listener, on which nothing is sent before it is clear which user listens there. After a
 * crash, another user of the machine can take over a port, or a socket in a folder that is open to them.
 *
 * Promise: the connection leads to one of the users that limpet may run as. Two cases can't be checked and are
 * trusted: another machine, and a system without /proc/net/tcp.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  type Stats,
} from 'node:fs'
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { CommandError } from '../cli-error.ts'
import { nameOfUser } from './limpet-users.ts'
import { formsOf, usersAtServer, type TcpConnection } from './tcp-table.ts'

export type ApiAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number }

export interface LimpetListener {
  readonly place: ApiAddress
  /** For people. */
  readonly shown: string
  /** User ids that it may have; null: any. */
  readonly users: readonly number[] | null
}

export interface ConnectOptions {
  readonly timeoutMs: number
  /** What /proc/net/tcp and tcp6 say now; null where there are none. */
  readonly tables?: () => readonly string[] | null
}

/** Throws `CommandError` where another process listens, and what `connect` fails with. */
export async function connectToLimpet(
  { place, shown, users }: LimpetListener,
  { timeoutMs, tables = readTables }: ConnectOptions,
): Promise<Socket> {
  if ('socketPath' in place) return connectToSocket(place.socketPath, { shown, users, timeoutMs })
  const socket = await open(place, timeoutMs)
  try {
    if (users !== null) refuseOthers(usersBehind(socket, tables), { shown, users })
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

type Asked = Omit<LimpetListener, 'place'>

async function connectToSocket(
  path: string,
  { shown, users, timeoutMs }: Asked & { timeoutMs: number },
): Promise<Socket> {
  const held = hold(path)
  try {
    if (users !== null) {
      if (!held.stats.isSocket()) throw new CommandError(`${shown} is not a socket: no token was sent`)
      refuseOthers([held.stats.uid], { shown, users })
    }
    return await open({ path: held.path }, timeoutMs)
  } finally {
    held.release()
  }
}

/** open(2): names a file, whatever it is, without opening it. Node.js has no name for it. */
const O_PATH = 0o10_000_000

/** The file at `path`, and a path that leads to this very file whatever is put into its place meanwhile; only Linux has such paths. */
function hold(path: string): { stats: Stats; path: string; release: () => void } {
  if (process.platform !== 'linux') return { stats: lstatSync(path), path, release: () => undefined }
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW)
  const fixed = `/proc/self/fd/${fd}`
  return { stats: fstatSync(fd), path: existsSync(fixed) ? fixed : path, release: () => closeSync(fd) }
}

function refuseOthers(
  found: readonly number[] | null,
  { shown, users }: { shown: string; users: readonly number[] },
): void {
  const other = found?.find((uid) => !users.includes(uid))
  if (other !== undefined) {
    const who = nameOfUser(other)
    throw new CommandError(
      `what listens at ${shown} belongs to ${who}, not to limpet: no token was sent ` +
        `(if limpet runs as ${who}, run this command as that user)`,
    )
  }
  if (found?.length === 0) {
    throw new CommandError(
      `can't tell which user listens at ${shown}: no token was sent (if it is limpet, give --url ${shown})`,
    )
  }
}

/** Who has the other end, or may get it; null: it can't be looked at. */
function usersBehind(socket: Socket, tables: () => readonly string[] | null): number[] | null {
  const { localAddress, localPort, remoteAddress, remotePort } = socket
  if (localAddress === undefined || localPort === undefined) return []
  if (remoteAddress === undefined || remotePort === undefined) return []
  if (!isHere(remoteAddress)) return null
  const connection: TcpConnection = {
    server: { address: remoteAddress, port: remotePort },
    client: { address: localAddress, port: localPort },
  }
  // The kernel writes a table in pieces, so that a row can be left out while others come and go.
  for (let again = 2; ; again--) {
    const now = tables()
    if (now === null) return null
    const found = usersAtServer(now, connection)
    if (found.length > 0 || again === 0) return found
  }
}

/** Whether an address that we reached is one of this machine. */
function isHere(address: string): boolean {
  if (/^(::ffff:)?127\.|^::1$/.test(address)) return true
  const key = formsOf(address).at(-1)
  const ours = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return ours.some((one) => formsOf(one.address).at(-1) === key)
}

/** Below /proc/self they are there where /proc shows processes alone (`ProcSubset=pid`), too. */
function readTables(): readonly string[] | null {
  const [tcp, tcp6] = ['tcp', 'tcp6'].map((name) => {
    try {
      return readFileSync(`/proc/self/net/${name}`, 'latin1')
    } catch {
      return null
    }
  })
  // Without IPv6 there is no tcp6.
  return tcp === null || tcp === undefined ? null : [tcp, tcp6 ?? '']
}

function open(place: NetConnectOpts, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...place, timeout: timeoutMs })
    socket.once('timeout', () => socket.destroy(new Error(`no answer in ${timeoutMs / 1000} s`)))
    socket.once('connect', () => {
      socket.removeAllListeners('timeout').setTimeout(0)
      resolve(socket)
    })
    // Stays: one that comes between this and the first request must not end the process.
    socket.on('error', reject)
  })
}
