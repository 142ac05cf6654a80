/**
 * What does a DNS lookup answer? The shapes that discovery asks for; the resolver provides them.
 *
 * Always: a lookup never throws because of what a name server does. "There is none" and "nobody knows" are told apart,
 * because only the first says that a step of discovery is over.
 */

/** One SRV record as it came (RFC 2782). */
export interface ServiceRecord {
  readonly priority: number
  readonly weight: number
  readonly port: number
  /** A host name, perhaps with a trailing dot; `.` says that there is no such service. */
  readonly target: string
}

/** An A or AAAA record. */
export interface AddressRecord {
  readonly address: string
}

export type LookedUp<R> =
  | {
      readonly kind: 'found'
      /** At least one. */
      readonly records: readonly R[]
      readonly ttlMs: number
      /** The name that really has the records, where CNAMEs led to it. */
      readonly cname?: string
    }
  /** NXDOMAIN, or the name has no record of this type. */
  | { readonly kind: 'none'; readonly ttlMs: number }
  /** SERVFAIL, refused, no answer in time: it is not known whether there is one. */
  | {
      readonly kind: 'failed'
      readonly why: string
      /** `OURS`: this process could not ask; nothing is known of the name. */
      readonly code?: string
    }

export interface HowToLookUp {
  /** Asks the DNS although an answer is remembered. */
  readonly fresh: boolean
  /** Ends it; what it comes to then is of no use. */
  readonly signal: AbortSignal
}

/** Asks for SRV records, for example of `_matrix-fed._tcp.example.org`. */
export type LookUpServices = (name: string, how: HowToLookUp) => Promise<LookedUp<ServiceRecord>>

/** Asks for the IP addresses of a host name, A and AAAA. */
export type LookUpHost = (host: string, how: HowToLookUp) => Promise<LookedUp<AddressRecord>>
