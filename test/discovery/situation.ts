/** What a case of discovery is about: who serves what, what DNS says, and what must come of it. Data only. */
import type { SpecStep } from '../../src/discovery/steps.ts'

/** `priority weight port target`, as in a zone file. */
export type SrvText = string

export interface Page {
  /** Default 200. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Default: nothing. */
  readonly body?: string
}

/** What the port of https of a host does; a page is served under `/.well-known/matrix/server`. */
export type Web =
  | Page
  | 'silent'
  | 'refused'
  | 'resets'
  | 'plain HTTP'
  | 'certificate for another name'
  | 'expired certificate'
  | 'unknown authority'
  | 'forbidden address'

export interface Situation {
  /** By host, or by host and path. A host that is not here answers 404. */
  readonly web?: Readonly<Record<string, Web>>
  /** By name. A name that is not here has no such record. */
  readonly srv?: Readonly<Record<string, readonly SrvText[] | 'SERVFAIL' | 'time-out'>>
  /** By name. One that is not here has 127.0.0.1, or what `web` says. */
  readonly addresses?: Readonly<Record<string, readonly string[] | 'none' | 'SERVFAIL'>>
  /** CNAMEs, by name: who has the records. */
  readonly cnames?: Readonly<Record<string, string>>
}

export interface Found {
  readonly step: SpecStep
  /** `host:port`, in order. */
  readonly connect: readonly string[]
  readonly host: string
  readonly sni: string | null
  readonly certificate: string
}

export interface Case {
  /** The row of the specification's table that it belongs to, or the rule. */
  readonly row: string
  /** Numbers of public reports of what went wrong in other servers. */
  readonly reports?: readonly string[]
  readonly about: string
  readonly name: string
  readonly situation: Situation
  /** Discovered once in this situation, and then again, so much later, in the other one. */
  readonly before?: { readonly situation: Situation; readonly laterMs: number }
  readonly found?: Found
  readonly failed?: { readonly stage: 'discovery' | 'address'; readonly message: string }
  /** All steps that were taken. */
  readonly steps: readonly SpecStep[]
  /** What a step says of its outcome: a part of it. */
  readonly says?: Readonly<Partial<Record<SpecStep, string>>>
}
