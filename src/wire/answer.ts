/**
 * What an answer to `/send` means. Pure, and total: whatever its bytes are, it means something.
 *
 * *Answered* is status 200 and a JSON object, read whole. Everything else is a failure, also a redirect (the spec has
 * none here), with what the answer says about itself: status, `errcode`, how long to stay away. Only the events that
 * were sent are looked up in it; nothing else in it is parsed (`scan-json.ts`). Words taken from it are short and safe
 * to print, to log and to store (`oneLine`).
 */
import type { Exchange } from './exchange.ts'
import { explainError } from './explain-error.ts'
import { firstWords } from './first-words.ts'
import { oneLine } from '../observe/one-line.ts'
import { retryAfter } from './retry-after.ts'
import { isNullAt, membersAt, membersOf, namesOf, plainAt } from './scan-json.ts'
import type { SendAnswered, SendFailed, SendStage } from './send-result.ts'

type PduResults = NonNullable<SendAnswered['pdus']>
export type ReadAnswer = Omit<SendAnswered, 'durationMs'> | Omit<SendFailed, 'durationMs'>
export type Answer = Omit<Exchange, 'release'>

const LONGEST_ERROR = 500
/** Where the spec has a string, and something else stands. */
const NOT_A_TEXT = 'an error that is not a text'
/** It was quick until now, and this time it is not (`deliver/impatience.ts`). */
const CUT = 'no answer so far, and others waited for its place'
/** Where the spec has an object. */
const NO_OBJECT = 'an entry that is no object'

const PDUS = namesOf(['pdus'])
const ERROR = namesOf(['error'])
const OF_A_REFUSAL = namesOf(['errcode', 'error', 'retry_after_ms'])

/** `now`, in milliseconds since the epoch, is for a `Retry-After` that is a date; `eventIds` are what was sent. */
export function readAnswer(answer: Answer, now: number, eventIds: readonly string[]): ReadAnswer {
  const { ending, status } = answer
  if (ending === 'not held') return failure(answer, 'aborted', 'not ours to send any more')
  if (ending === 'aborted') return failure(answer, 'aborted', 'aborted while sending')
  // An error status says enough by itself, even where its body broke off.
  if (status !== null && status !== 200) return refusal(answer, status, now)
  if (ending === 'timeout') return failure(answer, 'timeout', 'no answer in time')
  if (ending === 'cut') return { ...failure(answer, 'timeout', CUT), cut: true }
  if (ending === 'too large') return failure(answer, 'protocol', 'the answer is larger than 256 KiB')
  if (ending === 'given up')
    return failure(answer, 'protocol', 'the answer was too large for the memory that all answers share')
  if (ending === 'error') return broken(answer)
  const members = status === null ? null : membersOf(answer.body, PDUS)
  if (members === null)
    return { ...failure(answer, 'protocol', 'answered 200 without a JSON object'), whole: true }
  return { kind: 'answered', pdus: pduResults(answer.body, members.get('pdus'), eventIds) }
}

function refusal(answer: Answer, status: number, now: number): ReadAnswer {
  const { body } = answer
  const members = membersOf(body, OF_A_REFUSAL)
  const plain = (name: string) => {
    const at = members?.get(name)
    return at === undefined ? null : plainAt(body, at)
  }
  const [code, error] = [plain('errcode'), plain('error')]
  const errcode = typeof code === 'string' ? oneLine(code, 100) : null
  const said = typeof error === 'string' ? oneLine(error, 150) : ''
  const asksToWait = status === 429 || status === 503
  const advice = { header: answer.retryAfter, retryAfterMs: plain('retry_after_ms'), now }
  // What is no Matrix error is another program's: a proxy, a CDN, a web server without a homeserver behind it.
  const words = members === null ? firstWords(body) : said
  const from =
    members === null && answer.server !== undefined ? ` (server: ${oneLine(answer.server, 50)})` : ''
  const message = `answered ${status}${errcode === null ? '' : ` ${errcode}`}${from}${words === '' ? '' : `: ${words}`}`
  return {
    ...failure(answer, 'http', message),
    whole: answer.ending === 'whole',
    errcode,
    retryAfterMs: asksToWait ? retryAfter(advice) : null,
  }
}

function broken(answer: Answer): ReadAnswer {
  if (answer.status !== null) {
    return failure(answer, 'protocol', `the answer was cut off: ${explainError(answer.error)}`)
  }
  return failure(answer, answer.handed ? 'protocol' : 'connect', explainError(answer.error))
}

function failure(
  { status, handed }: Answer,
  stage: SendStage,
  message: string,
): Omit<SendFailed, 'durationMs'> {
  return { kind: 'failed', stage, status, errcode: null, retryAfterMs: null, message, handed }
}

function pduResults(body: Buffer, at: number | undefined, eventIds: readonly string[]): PduResults | null {
  const members = at === undefined ? null : membersAt(body, at, namesOf(eventIds))
  if (members === null) return null
  return new Map([...members].map(([eventId, value]) => [eventId, { error: errorAt(body, value) }]))
}

/** The spec has an object with a string in `error`; whatever else stands there is an error as well. */
function errorAt(body: Buffer, value: number): string | null {
  const members = membersAt(body, value, ERROR)
  if (members === null) return NO_OBJECT
  const at = members.get('error')
  if (at === undefined || isNullAt(body, at)) return null
  const text = plainAt(body, at)
  return typeof text === 'string' ? oneLine(text, LONGEST_ERROR) : NOT_A_TEXT
}
