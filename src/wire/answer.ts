/**
 * What an answer to `/send` means. Pure.
 *
 * *Answered* is status 200 and a JSON object, read whole. Everything else is a failure, redirects too (the spec
 * has none here), with what the answer says about itself: status, `errcode`, how long to stay away.
 */
import type { Exchange } from './exchange.ts'
import { explainError, oneLine } from './explain-error.ts'
import { retryAfter } from './retry-after.ts'
import type { SendAnswered, SendFailed, SendStage } from './send.ts'

type PduResults = NonNullable<SendAnswered['pdus']>
export type Reading = Omit<SendAnswered, 'durationMs'> | Omit<SendFailed, 'durationMs'>

const LONGEST_ERROR = 500

/** `now`, in milliseconds since the epoch, is for a `Retry-After` that is a date. */
export function readAnswer(exchange: Exchange, now: number): Reading {
  const { ending, status } = exchange
  if (ending === 'not held') return failure(exchange, 'aborted', 'not ours to send any more')
  if (ending === 'aborted') return failure(exchange, 'aborted', 'aborted while sending')
  // An error status says enough by itself, even where its body broke off.
  if (status !== null && status !== 200) return refusal(exchange, status, now)
  if (ending === 'timeout') return failure(exchange, 'timeout', 'no answer in time')
  if (ending === 'too large') return failure(exchange, 'protocol', 'the answer is larger than 4 MiB')
  if (ending === 'error') return broken(exchange)
  const answer = parseObject(exchange.body)
  if (answer === null) return failure(exchange, 'protocol', 'answered 200 without a JSON object')
  return { kind: 'answered', pdus: pduResults(answer['pdus']) }
}

function refusal(exchange: Exchange, status: number, now: number): Reading {
  const body = parseObject(exchange.body)
  const errcode = typeof body?.['errcode'] === 'string' ? oneLine(body['errcode'], 100) : null
  const said = typeof body?.['error'] === 'string' ? oneLine(body['error'], 150) : ''
  const asksToWait = status === 429 || status === 503
  const advice = { header: exchange.retryAfter, retryAfterMs: body?.['retry_after_ms'], now }
  const message = `answered ${status}${errcode === null ? '' : ` ${errcode}`}${said === '' ? '' : `: ${said}`}`
  return {
    ...failure(exchange, 'http', message),
    errcode,
    retryAfterMs: asksToWait ? retryAfter(advice) : null,
  }
}

function broken(exchange: Exchange): Reading {
  if (exchange.status !== null) {
    return failure(exchange, 'protocol', `the answer broke off: ${explainError(exchange.error)}`)
  }
  return failure(exchange, exchange.handed ? 'protocol' : 'connect', explainError(exchange.error))
}

function failure(
  { status, handed }: Exchange,
  stage: SendStage,
  message: string,
): Omit<SendFailed, 'durationMs'> {
  return { kind: 'failed', stage, status, errcode: null, retryAfterMs: null, message, handed }
}

function pduResults(pdus: unknown): PduResults | null {
  if (!isObject(pdus)) return null
  return new Map(Object.entries(pdus).map(([eventId, result]) => [eventId, { error: errorIn(result) }]))
}

/** The spec has a string in `error`; whatever else stands there is an error as well. */
function errorIn(result: unknown): string | null {
  const error = isObject(result) ? result['error'] : undefined
  if (error === undefined || error === null) return null
  return oneLine(typeof error === 'string' ? error : JSON.stringify(error), LONGEST_ERROR)
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
