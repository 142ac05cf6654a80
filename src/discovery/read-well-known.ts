/**
 * What does an answer of `/.well-known/matrix/server` say?
 *
 * Spec, "Resolving server names", step 3: what is not valid, whatever is wrong with it, leads to step 4. So nothing here
 * fails a destination. A 404 is told apart from the rest: it says that there is no delegation, where a 503 or a page of
 * HTML says nothing. The content type is not asked for.
 */
import { parseServerName } from '../matrix/ids.ts'
import type { ServerName } from '../matrix/ids.ts'
import { oneLine } from '../observe/one-line.ts'
import { lifeOfAbsence, lifeOfAnswer } from './lifetime.ts'
import type { CacheHeaders } from './lifetime.ts'

export type WellKnown =
  | { readonly kind: 'delegated'; readonly to: ServerName; readonly lifeMs: number; readonly from?: string }
  /** The server says that there is no delegation. */
  | { readonly kind: 'absent'; readonly status: number; readonly lifeMs: number; readonly from?: string }
  /** `arrived`: it is an answer of the server, which every process would get. */
  | { readonly kind: 'failed'; readonly arrived: boolean; readonly why: string }

/** Longer bodies are not read: the document has some thirty bytes. */
export const MOST_OF_A_BODY = 50 * 1024

const LONGEST_QUOTE = 100

export interface WellKnownAnswer {
  readonly status: number
  readonly headers: CacheHeaders
  readonly body: Uint8Array
}

/** `now`: milliseconds since the epoch, when it came. */
export function readWellKnown({ status, headers, body }: WellKnownAnswer, now: number): WellKnown {
  // 410 (gone) says the same as 404, and for good (RFC 9110, 15.5.11).
  if (status === 404 || status === 410) {
    return { kind: 'absent', status, lifeMs: lifeOfAbsence(headers, now) }
  }
  if (status !== 200) return invalid(`answered ${status}`)
  const text = textOf(body)
  if (text === null) return invalid('the body is not UTF-8')
  const value = valueOf(text)
  if (value === undefined) return invalid('the body is not JSON')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return invalid('the body is not a JSON object')
  }
  const delegate = Object.hasOwn(value, 'm.server')
    ? (value as Record<string, unknown>)['m.server']
    : undefined
  if (delegate === undefined) return invalid('m.server is missing')
  if (typeof delegate !== 'string') return invalid('m.server is not a string')
  const to = parseServerName(delegate)
  if (to === null) {
    return invalid(`m.server is not a server name: ${JSON.stringify(oneLine(delegate, LONGEST_QUOTE))}`)
  }
  return { kind: 'delegated', to, lifeMs: lifeOfAnswer(headers, now) }
}

function invalid(why: string): WellKnown {
  return { kind: 'failed', arrived: true, why }
}

function textOf(body: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return null
  }
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
