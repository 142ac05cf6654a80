/**
 * One request to limpet. What it refuses is a `LimpetError`; where no whole answer came, that error has the status 0 and the outcome is unknown.
 */

export interface LimpetOptions {
  /** Where limpet listens: `http://127.0.0.1:8469`. */
  readonly url: string
  /** A bearer token of the kind that the calls need. */
  readonly token: string
  /** Default: Node's. One of your own reaches a Unix socket, for example. */
  readonly fetch?: typeof fetch
  /** Time limit of one request, ms. Default: 60,000. */
  readonly timeoutMs?: number
}

export class LimpetError extends Error {
  override readonly name = 'LimpetError'
  /** Of HTTP; 0: no whole answer came. */
  readonly status: number
  /** `M_…` of the answer; null: it had none. */
  readonly errcode: string | null
  /** The whole answer; empty where it was none of limpet's. */
  readonly answer: Readonly<Record<string, unknown>>

  constructor(
    status: number,
    message: string,
    answer: Readonly<Record<string, unknown>> = {},
    cause?: unknown,
  ) {
    super(message, { cause })
    this.status = status
    const { errcode } = answer
    this.errcode = typeof errcode === 'string' ? errcode : null
    this.answer = answer
  }
}

export type QueryValues = Readonly<Record<string, string | number | boolean | undefined>>

export interface RequestParts {
  readonly path: string
  readonly query?: QueryValues | undefined
  readonly body?: object | undefined
  readonly signal?: AbortSignal | undefined
}

/** Resolves to the answer's JSON. Throws `LimpetError`, or the signal's reason. */
export type AskLimpet = <Answer>(method: 'GET' | 'POST' | 'DELETE', asked: RequestParts) => Promise<Answer>

export function makeAsk({
  url,
  token,
  fetch: fetchIt = fetch,
  timeoutMs = 60_000,
}: LimpetOptions): AskLimpet {
  const base = url.replace(/\/+$/, '')
  return async <Answer>(method: 'GET' | 'POST' | 'DELETE', { path, query, body, signal }: RequestParts) => {
    const limit = AbortSignal.timeout(timeoutMs)
    let status: number
    let text: string
    try {
      const answer = await fetchIt(`${base}${path}${queryOf(query)}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        // A token goes to limpet only.
        redirect: 'error',
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      })
      status = answer.status
      text = await answer.text()
    } catch (error) {
      signal?.throwIfAborted()
      throw new LimpetError(0, `no answer from limpet at ${base}: ${whyOf(error)}`, {}, error)
    }
    const found = parsed(text)
    if (status >= 200 && status < 300 && found !== null) return found as Answer
    throw new LimpetError(status, messageOf(status, found), found ?? {})
  }
}

/** A part of a path. */
export const part = (text: string): string => encodeURIComponent(text)

function queryOf(query: QueryValues = {}): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  )
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`
}

function parsed(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function messageOf(status: number, found: Readonly<Record<string, unknown>> | null): string {
  const { error } = found ?? {}
  return typeof error === 'string' ? error : `HTTP ${status}, and not limpet's: is this its address?`
}

function whyOf(error: unknown): string {
  const { message, cause } = error as Error
  return cause instanceof Error && cause.message !== '' ? cause.message : message
}
