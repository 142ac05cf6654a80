/** The kinds of value that a setting can have: what each accepts, and the error for anything else. */
import { z } from 'zod'
import { parseDnsServerAddress } from '../allow/dns-server.ts'
import type { DnsServerAddress } from '../allow/dns-server.ts'
import { parseDomainGlob } from '../allow/domain-glob.ts'
import { makeIsInsecure } from '../allow/insecure.ts'
import { parseIpRange } from '../allow/ip-range.ts'
import { makeProxyFor } from '../allow/no-proxy.ts'
import { parseProxy } from '../allow/proxy-url.ts'
import { LONGEST_TIMER_MS } from '../pace/clock.ts'
import { parseConnectionUrl } from './url.ts'
import { parseServerName } from '../matrix/ids.ts'
import type { ServerName } from '../matrix/ids.ts'

export const whole = (min: number, max = Number.MAX_SAFE_INTEGER) => z.int().min(min).max(max)
/** Milliseconds that something waits: a timer can be no longer (`clock.ts`), 24 days. */
export const ms = (min: number, max = LONGEST_TIMER_MS) => whole(min, max)
/** Milliseconds that are only compared with: an age, at most a century. */
export const age = (min: number) => whole(min, 3_155_760_000_000)
/** A section: all of its keys have defaults, and it may be left out or be empty. */
export const section = <T extends z.core.$ZodLooseShape>(shape: T) =>
  z.strictObject(shape).prefault(() => ({}) as never)
export const path = z.string().min(1)
export const MINUTE = 60_000
export const DAY = 24 * 60 * MINUTE

// RFC 6750, section 2.1: what a bearer token may consist of.
export const token = z
  .string()
  .regex(/^[A-Za-z0-9._~+/-]+=*$/, 'must be a bearer token: letters, digits and ._~+/-=')
const tokenMap = z
  .record(z.string().regex(/^[A-Za-z0-9_.@-]{1,64}$/), token)
  .refine((map) => Object.keys(map).length > 0, 'must not be empty')
export const tokens = z.union([token, tokenMap], {
  error: 'must be a token (letters, digits and ._~+/-=), or a map of names to tokens (NAME: token)',
})

export const serverName = z.string().transform((text, context): ServerName => {
  const name = parseServerName(text)
  if (name !== null) return name
  context.addIssue({ code: 'custom', message: `${JSON.stringify(text)} is not a valid server name` })
  return z.NEVER
})

const url = (protocols: readonly string[], what: string, path: RegExp) =>
  z
    .string()
    .refine((text) => protocols.includes(parseConnectionUrl(text)?.protocol ?? ''), `must be ${what}`)
    // Else the rest of a password is taken for a host or a database, and shown as such.
    .refine(
      (text) => isUnmistakable(text, path),
      `must be ${what} ; write / ? # @ & ; in a user name or password as %2F %3F %23 %40 %26 %3B`,
    )
export const postgresUrl = url(['postgres:', 'postgresql:'], 'a postgres:// URL', /^[^@]*$/)
export const redisUrl = url(['redis:', 'rediss:'], 'a redis:// or rediss:// URL', /^\/?\d*$/)

function isUnmistakable(text: string, path: RegExp): boolean {
  const parsed = parseConnectionUrl(text)
  if (parsed === null) return true
  return (
    parsed.hash === '' &&
    path.test(parsed.pathname) &&
    !parsed.pathname.includes(';') &&
    // Each part is a name and a value, as they stand: an & or ? of a password would end it, or begin another.
    (parsed.search === '' ||
      parsed.search
        .slice(1)
        .split('&')
        .every((part) => /^[\w.-]+=[^?]*$/.test(part)))
  )
}

export const databaseSetting = z.string().transform((text, context) => {
  if (text === 'embedded') return { kind: 'embedded' as const }
  if (postgresUrl.safeParse(text).success) return { kind: 'url' as const, url: text }
  const message = text.startsWith('postgres')
    ? postgresUrl.safeParse(text).error?.issues[0]?.message
    : undefined
  context.addIssue({
    code: 'custom',
    message: (message ?? 'must be a postgres:// URL').replace('must be', 'must be `embedded` or'),
  })
  return z.NEVER
})

export const queueSetting = z.string().transform((text, context) => {
  if (text === 'postgres') return { kind: 'postgres' as const }
  const urls = text.split(',').map((one) => one.trim())
  if (urls.every((one) => redisUrl.safeParse(one).success)) return { kind: 'redis' as const, urls }
  context.addIssue({
    code: 'custom',
    message:
      'must be `postgres` or a redis:// or rediss:// URL (for a Redis Cluster: several, separated by commas)',
  })
  return z.NEVER
})

/** Text that `parse` can read; what it throws says what is wrong with it. */
const readable = <T>(parse: (text: string) => T) =>
  z.string().transform((text, context): T => {
    try {
      return parse(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'is wrong' })
      return z.NEVER
    }
  })
/** The text as it is, once `parse` could read it. */
const checked = (parse: (text: string) => unknown) =>
  readable((text) => {
    parse(text)
    return text
  })

export const ipRange = z
  .string()
  .refine((text) => canRead(() => parseIpRange(text)), 'must be an IP address or a range such as 10.0.0.0/8')
export const domainGlob = checked(parseDomainGlob)
export const insecureDomain = checked((text) => makeIsInsecure([text]))
export const noProxy = checked((text) => makeProxyFor(null, [text]))
export const proxy = readable(parseProxy)
export const dnsServer = z.string().transform((text, context): DnsServerAddress => {
  const server = parseDnsServerAddress(text)
  if (server !== null) return server
  const message =
    'must be the IP address of a DNS server, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353'
  context.addIssue({ code: 'custom', message })
  return z.NEVER
})

function canRead(parse: () => unknown): boolean {
  try {
    parse()
    return true
  } catch {
    return false
  }
}

export const SERVED = ['ingest', 'admin', 'metrics'] as const
export type Served = (typeof SERVED)[number]
export type Listener =
  | { readonly host: string; readonly port: number; readonly serve: readonly Served[] }
  | { readonly socket: string; readonly mode: number; readonly serve: readonly Served[] }

const listener = z
  .strictObject({
    host: z.string().min(1).optional(),
    port: whole(0, 65535).optional(),
    socket: path.optional(),
    // YAML reads 0660 without quotes as the decimal number 660.
    mode: z
      .string('must be text, such as "0660" in quotes')
      .regex(/^0?[0-7]{3}$/, 'must be an octal file mode such as "0660"')
      .optional(),
    serve: z
      .array(z.enum(SERVED))
      .min(1)
      .default([...SERVED]),
  })
  .refine(
    ({ host, port, socket, mode }) =>
      socket === undefined ? mode === undefined : host === undefined && port === undefined,
    'must be either {host, port} or {socket, mode}',
  )
  .transform(({ host = '127.0.0.1', port = 8469, socket, mode = '0660', serve }): Listener =>
    socket === undefined ? { host, port, serve } : { socket, mode: parseInt(mode, 8), serve },
  )

/** One listener or a list of them; always a list afterwards. */
export const listen = z.preprocess(
  (value) => (Array.isArray(value) ? (value as unknown[]) : [value]),
  z.array(listener).min(1),
)
