/**
 * What a DNS lookup comes to, as a value: found, nothing there, or not known because something failed.
 *
 * `none` is an answer: the name does not exist, or has no such records. `failed` is the lack of one, and must never be taken for `none`.
 */

export type DnsType = 'A' | 'AAAA' | 'SRV'

export interface DnsSrv {
  readonly priority: number
  readonly weight: number
  readonly port: number
  /** A name without a dot at the end; `.`: the service is expressly not offered (RFC 2782). */
  readonly target: string
}

export interface DnsAddress {
  readonly address: string
  readonly family: 4 | 6
}

/** A record as its type has it. */
export interface DnsData {
  readonly A: DnsAddress
  readonly AAAA: DnsAddress
  readonly SRV: DnsSrv
}

/**
 * Why nothing is known. `SERVFAIL`, `REFUSED` and `MALFORMED`: a DNS server answered so; `TIMEOUT`: none answered; `UNREACHABLE`: none
 * could be asked (nothing listens, no network). `OURS`: this process could not ask (no descriptor, closed); it says nothing of the name.
 */
export type DnsTrouble = 'SERVFAIL' | 'REFUSED' | 'MALFORMED' | 'TIMEOUT' | 'UNREACHABLE' | 'OURS'

export interface DnsFound<Data> {
  readonly kind: 'found'
  /** At least one. */
  readonly records: readonly Data[]
  /** How long it may be kept from now on. */
  readonly ttlMs: number
  /** The name that really has the records, if a CNAME led there. */
  readonly cname?: string
}

export interface DnsNone {
  readonly kind: 'none'
  /** `NXDOMAIN`: the name does not exist. `NODATA`: it has no records of this type. */
  readonly why: 'NXDOMAIN' | 'NODATA'
  readonly ttlMs: number
  readonly cname?: string
}

export interface DnsFailed {
  readonly kind: 'failed'
  readonly code: DnsTrouble
  /** One line for operators. */
  readonly why: string
}

export type DnsOutcome<Data> = DnsFound<Data> | DnsNone | DnsFailed

export const dnsFailed = (code: DnsTrouble, why: string): DnsFailed => ({ kind: 'failed', code, why })
