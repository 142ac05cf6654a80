/**
 * Where do the connections to a destination go: addresses, port, and the name that the certificate must have? Types only.
 *
 * The addresses were vetted when they were found, and they are vetted again where they are connected to (`tcp.ts`): nothing is looked up
 * between that check and the use.
 */
import type { ServerName } from '../matrix/ids.ts'
import type { Proxy } from '../allow/proxy-url.ts'

export interface Target {
  /** IP addresses, tried in this order; at least one. */
  readonly addresses: readonly string[]
  readonly port: number
  /** The name or address the certificate has to be for, an IPv6 address without its brackets. */
  readonly tlsName: string
  /** What TLS announces as the name wanted; null for an IP literal (RFC 6066, 3: names only). */
  readonly sni: string | null
  readonly hostHeader: string
  /** Connections go through it. Then `addresses` may hold names, which the proxy looks up. */
  readonly proxy?: Proxy | null
}

/** Where a destination's connections go. */
export interface WhereTo {
  /** To be dialled in this order, the next where one fails or is slow; at least one. */
  readonly targets: readonly Target[]
  /** Equal where connections made for one route may be used for the other: the same places under the same names. */
  readonly key: string
  /** How long connections may go on without asking again, ms; null: for ever. */
  readonly leftMs: number | null
}

export type Resolution =
  | { readonly kind: 'found'; readonly to: WhereTo }
  | { readonly kind: 'failed'; readonly stage: 'discovery' | 'address'; readonly message: string }

export type ResolveTarget = (destination: ServerName) => Promise<Resolution>

/** The IP addresses of a host name, as `node:dns/promises` `lookup` with `all` gives them. Throws its errors. */
export type Lookup = (host: string) => Promise<readonly { readonly address: string }[]>
