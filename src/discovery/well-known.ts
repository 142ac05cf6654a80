/**
 * Asks a host for its `/.well-known/matrix/server`.
 *
 * Redirects are followed one by one, by us: each hop is judged (`redirect.ts`), then connected to as if it were the
 * first, its addresses vetted at the connection. All of it, lookups and handshakes included, ends after `limitMs`.
 *
 * Always: the result is a value, whatever the other side does.
 */
import { setMaxListeners } from 'node:events'
import type { Clock } from '../pace/clock.ts'
import { within } from '../pace/either-signal.ts'
import { explainError } from '../wire/explain-error.ts'
import { DialledAgent } from './agent.ts'
import type { ConnectTo } from './connect-to.ts'
import { get } from './get.ts'
import type { GetAnswer } from './get.ts'
import { readWellKnown } from './read-well-known.ts'
import type { WellKnown } from './read-well-known.ts'
import { firstHop, isRedirect, nextHop } from './redirect.ts'
import type { Hop } from './redirect.ts'

/** `host`: the host of a server name, not a literal. */
export type AskWellKnown = (host: string, signal: AbortSignal) => Promise<WellKnown>

export interface AskWellKnownNeeds {
  readonly connectTo: ConnectTo
  /** The port of https, where a URL names none. */
  readonly httpsPort: number
  readonly userAgent: string
  readonly clock: Clock
  /** For all hops together. Default 10 s. */
  readonly limitMs?: number
}

export function makeAskWellKnown(needs: AskWellKnownNeeds): AskWellKnown {
  const { connectTo, httpsPort, userAgent, clock, limitMs = 10_000 } = needs

  return async function askWellKnown(host, stop) {
    const first = firstHop(host)
    // For example `xn--a`: a server name, and no host of a URL.
    if (!URL.canParse(first.url)) return { kind: 'failed', arrived: true, why: 'the name cannot be in a URL' }
    const limit = within(stop, limitMs)
    // Each address that is dialled listens to it.
    setMaxListeners(0, limit.signal)
    try {
      return await follow(first, limit.signal, stop)
    } finally {
      limit.forget()
    }
  }

  async function follow(first: Hop, signal: AbortSignal, stop: AbortSignal): Promise<WellKnown> {
    const path = [first]
    for (let hop = first; ;) {
      const asked = await ask(hop, signal)
      if (stop.aborted) return failed(path, 'limpet is stopping', false)
      if (signal.aborted) return failed(path, `no answer within ${limitMs / 1000} s`, false)
      if (asked.kind === 'failed') return failed(path, asked.why, asked.arrived)
      if (!isRedirect(asked.status)) return ended(path, readWellKnown(asked, clock.now()))
      const next = nextHop(asked.location, path)
      if (next.kind === 'refused') return failed(path, next.why, true)
      hop = next.hop
      path.push(hop)
    }
  }

  /** One request, over a connection of its own. */
  async function ask({ url, host, port }: Hop, signal: AbortSignal): Promise<GetAnswer> {
    const refusals: string[] = []
    const agent = new DialledAgent(async () => {
      const connected = await connectTo(host, port ?? httpsPort, signal)
      if (connected.kind === 'failed') refusals.push(connected.message)
      return connected.kind === 'open' ? connected.socket : null
    })
    try {
      return await get(url, { agent, headers: { 'user-agent': userAgent }, signal })
    } catch (error) {
      return { kind: 'failed', why: refusals[0] ?? explainError(error), arrived: false }
    } finally {
      agent.destroy()
    }
  }
}

/** What came of it names the place, where redirects led to another one. */
function ended(path: readonly Hop[], answer: WellKnown): WellKnown {
  const last = path.at(-1)?.url
  if (path.length === 1 || last === undefined) return answer
  return answer.kind === 'failed'
    ? failed(path, answer.why, answer.arrived)
    : { ...answer, from: shortened(last) }
}

function failed(path: readonly Hop[], why: string, arrived: boolean): WellKnown {
  const last = path.at(-1)?.url
  const where = path.length === 1 || last === undefined ? '' : `, after a redirect to ${shortened(last)}`
  return { kind: 'failed', why: `${why}${where}`, arrived }
}

const shortened = (url: string) => (url.length > 120 ? `${url.slice(0, 119)}…` : url)
