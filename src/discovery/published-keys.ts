/**
 * Asks a homeserver which keys it publishes: `GET /_matrix/key/v2/server`, over a connection that is made as for deliveries.
 *
 * Always: the result is a value, whatever the other side does.
 */
import { within } from '../pace/either-signal.ts'
import type { Dial } from '../wire/dial.ts'
import { makeDialAll } from '../wire/dial-all.ts'
import { explainError } from '../wire/explain-error.ts'
import type { Target } from '../wire/target.ts'
import { DialledAgent } from './agent.ts'
import { get } from './get.ts'

export type PublishedKeys =
  | { readonly kind: 'answered'; readonly body: Uint8Array; readonly address: string }
  | { readonly kind: 'failed'; readonly why: string }

export interface AskPublishedKeysNeeds {
  readonly dial: Dial
  /** At least one, the first tried first. */
  readonly targets: readonly Target[]
  readonly userAgent: string
  readonly signal: AbortSignal
  /** For the answer, from the connection on. */
  readonly limitMs: number
}

const PATH = '/_matrix/key/v2/server'

export async function askPublishedKeys(needs: AskPublishedKeysNeeds): Promise<PublishedKeys> {
  const dialled = await makeDialAll(needs.dial)(needs.targets, needs.signal, () => null)
  if (dialled.kind === 'failed') return failed(`no connection: ${dialled.message}`)
  const { socket, address, target } = dialled
  const limit = within(needs.signal, needs.limitMs)
  const agent = new DialledAgent(() => Promise.resolve(socket))
  const asked = `GET ${PATH} at ${address}, port ${target.port}`
  try {
    // The name in the URL is never looked up: not every server name can stand in one.
    const headers = { host: target.hostHeader, 'user-agent': needs.userAgent }
    const answer = await get(`https://limpet.invalid${PATH}`, { agent, headers, signal: limit.signal })
    if (answer.kind === 'failed') return failed(`${asked}: ${answer.why}`)
    if (answer.status !== 200) return failed(`${asked} was answered with status ${answer.status}`)
    return { kind: 'answered', body: answer.body, address }
  } catch (error) {
    const why = limit.signal.aborted ? `no answer within ${needs.limitMs / 1000} s` : explainError(error)
    return failed(`${asked}: ${why}`)
  } finally {
    limit.forget()
    agent.destroy()
    socket.destroy()
  }
}

const failed = (why: string): PublishedKeys => ({ kind: 'failed', why })
