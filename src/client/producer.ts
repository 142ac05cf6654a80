/**
 * The homeserver's side of limpet (contract, section 3): a producer that feeds items, and reads back what it told.
 *
 * Promise: `ingest` with `tokens` resolves once the items are taken, exactly once, however many answers were lost. It repeats the same items under the
 * same `if_source_token`, and a 409 that names the token that it was about to store is the answer that it missed. Items that must keep an order go
 * through one source, one call after the other.
 */
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { LimpetAnswer, LimpetItem } from './answers.ts'
import { LimpetError, makeAsk, part, type LimpetOptions } from './ask.ts'

export interface ProducerOptions extends LimpetOptions {
  /** The name of the producer's stream. Default: `default`. */
  readonly source?: string
  /** The wait before a repeat, ms; `failures` in a row so far, at least 1. Default: 100 ms, doubling to 10 s, times a random 0.5 to 1. */
  readonly waitMs?: (failures: number) => number
  /** Told before each wait: what was answered, or that nothing was, and how long it waits, ms. For a log, or to see that limpet is away. */
  readonly onRetry?: (why: LimpetError, waitMs: number) => void
  /** Waits; default: a timer. */
  readonly wait?: (ms: number, signal: AbortSignal | undefined) => Promise<void>
}

/** The producer's own places in its stream: before the items, and after them. */
export interface SourceTokens {
  /** What must be stored for the items to be taken; null: nothing yet. */
  readonly from: string | null
  /** What is stored with them; another one than `from`. */
  readonly to: string
}

/** `before`: they were taken before, and the answer of then is lost. */
export type Fed = ({ readonly kind: 'taken' } & LimpetAnswer<'ingest'>) | { readonly kind: 'before' }

export interface ListedPage {
  readonly from?: string
  readonly limit?: number
  readonly order_by?: string
  readonly dir?: 'f' | 'b'
}

const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 10_000
const usualWait = (failures: number): number =>
  Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2)

const sleep: NonNullable<ProducerOptions['wait']> = (ms, signal) =>
  delay(ms, undefined, signal === undefined ? {} : { signal })

export function makeProducer(options: ProducerOptions) {
  const { source = 'default', waitMs = usualWait, wait = sleep, onRetry } = options
  const ask = makeAsk(options)

  /**
   * Feeds items, at most 1,000. With `tokens` it is repeated until limpet takes them or refuses them, or `signal` aborts; without, only where nothing
   * can have been taken (429): then an error with the status 0 or 5xx leaves open whether they were.
   * @throws LimpetError
   */
  async function ingest(
    items: readonly LimpetItem[],
    { tokens, signal }: { tokens?: SourceTokens; signal?: AbortSignal } = {},
  ): Promise<Fed> {
    if (tokens !== undefined && tokens.from === tokens.to)
      throw new TypeError(
        'tokens.to must differ from tokens.from: else a repeat cannot be told from what is new',
      )
    const named = tokens && { source_token: tokens.to, if_source_token: tokens.from }
    const body = { items, source, ...named }
    for (let failures = 1; ; failures += 1) {
      try {
        const taken = await ask<LimpetAnswer<'ingest'>>('POST', { path: '/v1/ingest', body, signal })
        return { kind: 'taken', ...taken }
      } catch (error) {
        if (!(error instanceof LimpetError)) throw error
        const { errcode, answer } = error
        if (
          errcode === 'M_LIMPET_TOKEN_MISMATCH' &&
          tokens !== undefined &&
          answer['source_token'] === tokens.to
        )
          return { kind: 'before' }
        if (!mayRepeat(error, tokens !== undefined)) throw error
        const asked = answer['retry_after_ms']
        const ms = Math.max(waitMs(failures), typeof asked === 'number' ? asked : 0)
        onRetry?.(error, ms)
        await wait(ms, signal)
      }
    }
  }

  return {
    ingest,
    /** Advice that servers answer again. */
    serverUp: (servers: readonly string[]) =>
      ask<LimpetAnswer<'serverUp'>>('POST', { path: '/v1/ingest/server_up', body: { servers } }),
    /** Where this source is: after a restart go on behind `source_token`. */
    position: () => ask<LimpetAnswer<'position'>>('GET', { path: '/v1/ingest/position', query: { source } }),
    /** Which servers limpet fails to reach; with the token of the last answer, also which are back. */
    unreachable: (since?: string) =>
      ask<LimpetAnswer<'unreachable'>>('GET', { path: '/v1/ingest/unreachable', query: { since } }),
    /** Rooms with digests of their servers, a page at a time. */
    rooms: (page: ListedPage = {}) =>
      ask<LimpetAnswer<'rooms'>>('GET', { path: '/v1/rooms', query: { ...page } }),
    room: (roomId: string) => ask<LimpetAnswer<'room'>>('GET', { path: `/v1/rooms/${part(roomId)}` }),
  }
}

export type Producer = ReturnType<typeof makeProducer>

/** The database is away, limpet starts or stops, or something between us and it does not answer as it does. */
function mayRepeat({ status }: LimpetError, isNamed: boolean): boolean {
  return status === 429 || (isNamed && (status === 0 || status >= 500))
}

/** What `rooms` and `room` have as `digest`, of the names of a room's remote servers. */
export function digestOf(servers: Iterable<string>): string {
  const sorted = [...servers].sort(byCodePoint)
  return createHash('sha256').update(sorted.join('\n')).digest('base64').replace(/=+$/, '')
}

// Server names are ASCII, where code points and UTF-16 have one order.
const byCodePoint = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
