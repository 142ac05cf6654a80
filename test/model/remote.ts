/** What the remote does with a request, as the schedule says. */
import type { Whereabouts } from '../../src/deliver/find.ts'
import { PATIENCE_MS } from '../../src/deliver/impatience.ts'
import type { SendFailed, SendResult } from '../../src/wire/send-result.ts'
import { SETTINGS } from './driver.ts'

export type Remote =
  | { does: 'answers'; lists: 'all' | 'nothing' | 'odd ids' | 'without pdus'; takesMs: number }
  | { does: 'refuses the connection' }
  | { does: 'is not found' }
  /** Where it is has not been found out by the time a turn waits for that, or nothing is asked as too many others are looked for. */
  | { does: 'is looked for'; as: 'slow' | 'no place' }
  | { does: 'times out' }
  | { does: 'drops the answer' }
  | { does: 'fails'; status: 500 | 503 | 429 | 410; retryAfterMs: number | null }
  /** Refuses a transaction that holds an event whose number is divisible by `each`, or any; an empty one is answered `empty`. */
  | {
      does: 'refuses'
      /** 0: none. */
      each: number
      /** The same of EDUs, by the numbers of their parts. */
      edus?: number
      status: 400 | 403 | 413 | 500 | 502
      empty: 200 | 401 | 403 | 502
      /** What is listed of what it takes. */
      lists?: 'all' | 'nothing'
    }

export const WELL: Remote = { does: 'answers', lists: 'all', takesMs: 40 }

/** An answer, and which events it counts as listed. */
export interface Told {
  result: SendResult
  listed: (eventId: string) => boolean
}

const FAILED: SendFailed = {
  ...{ kind: 'failed', stage: 'http', status: null, errcode: null, retryAfterMs: null },
  ...{ message: 'as the schedule says', durationMs: 40, handed: true },
}

/** What is said of a request that was cut, since others waited for its place. */
export const CUT = 'others waited for its place'

/** Nothing listens, or nothing gets there. */
export const CUT_OFF: SendFailed = { ...FAILED, stage: 'connect', handed: false }

/** Cut off by ourselves. */
export const cutOff = (handed: boolean): SendFailed => ({
  ...FAILED,
  ...{ stage: 'aborted', message: 'cut off', durationMs: 0, handed },
})

/** What comes of a connection that is asked for: null where there is one. */
export function refusalOf({ does }: Remote): SendFailed | null {
  if (does === 'refuses the connection') return CUT_OFF
  return does === 'is not found' || does === 'is looked for' ? UNFOUND : null
}

const UNFOUND: SendFailed = { ...FAILED, stage: 'discovery', handed: false }

/** What is written down of it. */
export const unfoundOf = (whereabouts: Extract<Whereabouts, { kind: 'failed' }>): SendFailed => ({
  ...UNFOUND,
  ...whereabouts,
})

/** What a turn without a connection hears of where it is. */
export function whereaboutsOf(remote: Remote): Whereabouts {
  if (remote.does === 'is looked for') return { kind: remote.as }
  return remote.does === 'is not found' ? { ...UNFOUND, stage: 'discovery' } : { kind: 'found' }
}

/** Whether the connection may serve another request: the answer was read to its end. */
export const isKept = ({ result }: Told): boolean =>
  result.kind === 'answered' || (result.handed && result.stage === 'http')

export function answerOf(remote: Remote, body: string): Told {
  const failed = (over: Partial<SendFailed>): Told => ({
    result: { ...FAILED, ...over },
    listed: () => false,
  })
  switch (remote.does) {
    case 'refuses the connection':
    case 'is not found':
    case 'is looked for':
      return failed({ stage: 'connect', handed: false })
    case 'times out':
      // Others wait for its place, or not: nothing of the schedule says it.
      return body.length % 2 === 0
        ? failed({ stage: 'timeout', durationMs: SETTINGS.requestTimeoutMs })
        : failed({ stage: 'timeout', durationMs: PATIENCE_MS, cut: true, message: CUT })
    case 'drops the answer':
      return failed({ stage: 'protocol' })
    case 'fails':
      return failed({ status: remote.status, retryAfterMs: remote.retryAfterMs })
    case 'refuses': {
      const { pdus, edus = [] } = JSON.parse(body) as { pdus: { id: string }[]; edus?: object[] }
      const isEmpty = pdus.length + edus.length === 0
      const isRefused =
        pdus.some(({ id }) => Number(id.slice(2)) % remote.each === 0) ||
        edus.some((edu) => numbersIn(edu).some((n) => isRefusedEdu(remote, n)))
      const status = isEmpty ? remote.empty : isRefused ? remote.status : 200
      if (status !== 200) return failed({ status, whole: true })
      return answerOf({ does: 'answers', lists: remote.lists ?? 'all', takesMs: 40 }, body)
    }
    case 'answers': {
      const { lists, takesMs: durationMs } = remote
      if (lists === 'without pdus')
        return { result: { kind: 'answered', pdus: null, durationMs }, listed: () => true }
      const listed = (id: string) => lists === 'all' || (lists === 'odd ids' && Number(id.at(-1)) % 2 === 1)
      const { pdus } = JSON.parse(body) as { pdus: { id: string }[] }
      const those = pdus.filter(({ id }) => listed(id)).map(({ id }) => [id, { error: null }] as const)
      return { result: { kind: 'answered', pdus: new Map(those), durationMs }, listed }
    }
  }
}

/** The numbers of its parts. */
export const numbersIn = (edu: object): number[] =>
  [...JSON.stringify(edu).matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n))

/** By the number of a part. */
export const isRefusedEdu = (remote: Remote, n: number): boolean =>
  remote.does === 'refuses' && n % (remote.edus ?? 0) === 0

export function remoteInWords(remote: Remote): string {
  switch (remote.does) {
    case 'answers': {
      const { lists, takesMs } = remote
      const how = lists === 'without pdus' ? 'without a list of PDUs' : `and lists ${lists}`
      return `answers ${how}, in ${takesMs} ms`
    }
    case 'fails': {
      const { status, retryAfterMs } = remote
      return `answers ${status}${retryAfterMs === null ? '' : `, retry after ${retryAfterMs / 1000} s`}`
    }
    case 'refuses': {
      const { each, edus = 0, status, empty, lists } = remote
      const what = [
        ...(each > 0 ? [`every ${each}. event`] : []),
        ...(edus > 0 ? [`every ${edus}. EDU`] : []),
      ]
      const rest = lists === 'nothing' ? ', and lists nothing' : ''
      return `answers ${status} to ${what.join(' and ')}, ${empty} to what is empty${rest}`
    }
    case 'is looked for':
      return `is looked for: ${remote.as}`
    default:
      return remote.does
  }
}
