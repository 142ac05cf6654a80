/**
 * The names of Matrix as strings that have been checked.
 *
 * A branded type says that one of the parsers here has seen the text. Code that has a `ServerName` need not check
 * again whether it fits into a URL, a header or a table. Spec: appendices, "Identifier Grammar". Server names are
 * compared case-sensitively (appendices, "Server Name"); nothing here changes case.
 */
import { isIPv4, isIPv6 } from 'node:net'

declare const brand: unique symbol
/** A `T` that a parser let through. Brands exist only for the compiler. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }

export type ServerName = Brand<string, 'ServerName'>
export type RoomId = Brand<string, 'RoomId'>
export type EventId = Brand<string, 'EventId'>
export type TxnId = Brand<string, 'TxnId'>

const MAX_SERVER_NAME = 230
const MAX_ID_BYTES = 255

const SERVER_NAME = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z.-]{1,230}))(?::([0-9]{1,5}))?$/
// With the flag u a pair is one character, so that only a lone half matches.
const LONE_SURROGATE = /\p{Surrogate}/u
const LABELS = /^[0-9A-Za-z-]{1,63}(?:\.[0-9A-Za-z-]{1,63})*$/
// What URL parsers take for a number, and so the whole host for an IPv4 address: `127.1`, `0x7f.1`, `1.2.3.04`.
const ENDS_IN_NUMBER = /(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)$/

export interface ServerNameParts {
  /** The host without the brackets of an IPv6 literal. */
  host: string
  port: number | null
  /** 4 or 6 where the host is an IP literal. */
  literal: 4 | 6 | null
}

/**
 * The server name in `text`, or null.
 *
 * Stricter than the grammar where the grammar lets through what cannot be reached: at most 230 characters,
 * no empty label (so no trailing dot, which would slip past a deny list), no port 0 (HTTP clients read it
 * as "the default"), and a host that ends in a number is a whole IPv4 address.
 */
export function parseServerName(text: string): ServerName | null {
  return partsOf(text) === null ? null : (text as ServerName)
}

/** Takes a server name apart. Throws on text that `parseServerName` would not have let through. */
export function splitServerName(name: ServerName): ServerNameParts {
  const parts = partsOf(name)
  if (parts === null) throw new TypeError(`not a server name: ${JSON.stringify(name.slice(0, 300))}`)
  return parts
}

function partsOf(text: string): ServerNameParts | null {
  if (text.length > MAX_SERVER_NAME) return null
  const match = SERVER_NAME.exec(text)
  if (match === null) return null
  const [, v6, name, digits] = match
  const port = digits === undefined ? null : Number(digits)
  if (port !== null && (port === 0 || port > 65535)) return null
  if (v6 !== undefined) return isIPv6(v6) ? { host: v6, port, literal: 6 } : null
  if (name === undefined || !LABELS.test(name)) return null
  if (!ENDS_IN_NUMBER.test(name)) return { host: name, port, literal: null }
  return isIPv4(name) ? { host: name, port, literal: 4 } : null
}

/**
 * Whether `text` can be a room id of some room version: `!opaque:domain`, or since room version 12 the create
 * event's id with `!` in place of `$`, without a domain. At most 255 bytes.
 */
export function isRoomId(text: string): text is RoomId {
  return isId('!', text)
}

/** Whether `text` can be an event id of some room version: `$` and more, at most 255 bytes. */
export function isEventId(text: string): text is EventId {
  return isId('$', text)
}

/** Whether `text` can be a user id: `@`, a colon somewhere, at most 255 bytes, no NUL. Old ones hold almost anything. */
export function isUserId(text: string): boolean {
  return isId('@', text) && domainOf(text) !== null
}

// The localpart may hold anything but NUL and surrogates (appendices, "Room IDs").
function isId(sigil: string, text: string): boolean {
  return (
    text.length > 1 &&
    text.startsWith(sigil) &&
    text.length <= MAX_ID_BYTES &&
    Buffer.byteLength(text) <= MAX_ID_BYTES &&
    !text.includes('\0') &&
    !LONE_SURROGATE.test(text)
  )
}

/** What follows the first `:` of a user id (`@alice:example.org`), unchecked; null where there is no colon. */
export function domainOf(userId: string): string | null {
  const colon = userId.indexOf(':')
  return colon === -1 ? null : userId.slice(colon + 1)
}

/** A transaction id that was not used before: 128 random bits, base64url (22 characters). */
export function makeTxnId(randomBytes: (size: number) => Uint8Array): TxnId {
  return Buffer.from(randomBytes(16)).toString('base64url') as TxnId
}
