/**
 * Which user has the other end of a TCP connection within this machine? Read from /proc/net/tcp and tcp6 (proc(5)).
 *
 * A connection that has not been accepted yet belongs to no user: its row says inode 0, and its user id means nothing.
 * Then the answer is the users that listen where it arrived, because one of them will accept it.
 */
import { endianness } from 'node:os'
import { isIPv4 } from 'node:net'

export interface Endpoint {
  readonly address: string
  readonly port: number
}

export interface TcpConnection {
  readonly server: Endpoint
  readonly client: Endpoint
}

type Order = 'LE' | 'BE'

const LISTEN = '0A'
const UNACCEPTED = '0'

/**
 * The users that have the server's end of a connection, or may get it.
 * @param tables what tcp and tcp6 say
 * @returns none: the tables know neither the connection nor a listener
 */
export function usersAtServer(
  tables: readonly string[],
  { server, client }: TcpConnection,
  order: Order = endianness(),
): number[] {
  const port = portOf(server)
  const here = formsOf(server.address, order).map((form) => form + port)
  const there = formsOf(client.address, order).map((form) => form + portOf(client))
  const rows = tables.flatMap((table) => rowsAt(table, port))
  const accepted = rows.filter(
    ({ local, remote, inode }) => here.includes(local) && there.includes(remote) && inode !== UNACCEPTED,
  )
  if (accepted.length > 0) return usersOf(accepted)
  // Of several listeners the kernel takes the one that is bound to the address, then one of IPv4 alone, then `::`.
  const everywhere = (here.length > 1 ? ['0.0.0.0', '::'] : ['::']).map((any) =>
    formsOf(any, order).map((form) => form + port),
  )
  for (const places of [here, ...everywhere]) {
    const listeners = rows.filter(({ local, state }) => state === LISTEN && places.includes(local))
    if (listeners.length > 0) return usersOf(listeners)
  }
  return []
}

/** Each once: the kernel writes a table in pieces, so that a row can be there twice while others come and go. */
const usersOf = (rows: readonly Row[]): number[] => [...new Set(rows.map(({ uid }) => uid))]

interface Row {
  local: string
  remote: string
  state: string
  uid: number
  inode: string
}

/** The rows whose own end has `port`. There may be tens of thousands of others. */
function rowsAt(table: string, port: string): Row[] {
  return table.split('\n').flatMap((line) => {
    if (!line.includes(`${port} `)) return []
    const [, local = '', remote = '', state = '', , , , uid = '', , inode = ''] = line.trim().split(/\s+/)
    return local.endsWith(port) ? [{ local, remote, state, uid: Number(uid), inode }] : []
  })
}

const portOf = ({ port }: Endpoint) => `:${hex(port, 4)}`

/** How the tables write `address`: an IPv4 address as itself and, for a socket of IPv6, as `::ffff:a.b.c.d`. */
export function formsOf(address: string, order: Order = endianness()): string[] {
  const bytes = bytesOf(address)
  const full = words(bytes, order)
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  return mapped ? [full.slice(-8), full] : [full]
}

/** The sixteen bytes of an IPv6 address; those of an IPv4 address as IPv6 maps it. */
function bytesOf(address: string): number[] {
  const plain = address.replace(/%.*$/, '')
  // A URL has one way of writing an address: groups of hexadecimal digits.
  const { hostname } = new URL(`http://[${isIPv4(plain) ? '::ffff:' : ''}${plain}]`)
  const [before = [], after = []] = hostname
    .slice(1, -1)
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''))
  const zeros = Array<string>(8 - before.length - after.length).fill('0')
  return [...before, ...zeros, ...after].flatMap((group) => {
    const value = parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

/** Words of four bytes, each as a number of this machine. */
function words(bytes: readonly number[], order: Order): string {
  return [0, 4, 8, 12]
    .map((at) => bytes.slice(at, at + 4))
    .map((word) => (order === 'LE' ? word.reverse() : word).map((byte) => hex(byte, 2)).join(''))
    .join('')
}

const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0')
