/**
 * Admin API: an operator's actions on one destination. Each is stored as a wish; the process that holds the
 * destination carries it out.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { VetDomain } from '../../allow/domains.ts'
import { blockedBecause } from '../../explain/destination.ts'
import type { Pool } from '../../store/db.ts'
import { makeWish, type Wish } from '../../store/delivery/wishes.ts'
import { findDestination } from '../../store/views/destination-row.ts'
import { AdminRefusal, notFound } from './refusal.ts'
import { callerName } from '../auth.ts'

/** Puts a wake into each destination's queue. A lost wake costs a sweep, so a failure is not an error of the action. */
export type WakeDestinations = (
  targets: readonly { destination: string; queue: 'delivery' | 'recovery' }[],
) => Promise<void>

export interface ActionNeeds {
  pool: Pool
  wake: WakeDestinations
  /** To whom nothing is sent, as of now; null: nobody is blocked. */
  vetDomain: VetDomain | null
  /** Most destinations that one command has tried in a second. */
  rampPerSecond: number
}

const WISHES: readonly Wish[] = ['wake', 'reset', 'pause', 'resume']

export function registerActionRoutes(app: FastifyInstance, { pool, wake, vetDomain }: ActionNeeds): void {
  for (const wish of WISHES) {
    app.post<{ Params: { server: string } }>(`/v1/destinations/:server/${wish}`, async (request) => {
      const name = request.params.server
      const row = vetDomain && (await findDestination(pool, name))
      const blocked = row && blockedBecause(row.name, vetDomain)
      if (blocked !== null && wish === 'wake') throw refuseToTry(name, { kind: 'blocked', why: blocked })
      const wished = await makeWish(pool, { wish, name, who: callerName(request) })
      if (wished.kind === 'unknown') throw notFound(`unknown destination ${name}`)
      if (wished.kind !== 'done') throw refuseToTry(name, wished)
      if (blocked !== null) return { blocked }
      wakeSoon({ wake }, request, { destination: name, queue: wished.queue })
      return {}
    })
  }
}

/** Why it cannot be tried now. */
export function refuseToTry(
  name: string,
  because: { kind: 'blocked'; why: string } | { kind: 'paused' } | { kind: 'embargo'; until: number },
): AdminRefusal {
  if (because.kind === 'blocked')
    return new AdminRefusal(409, 'M_LIMPET_BLOCKED', `nothing is sent to ${name}, because ${because.why}`)
  if (because.kind === 'paused')
    return new AdminRefusal(409, 'M_LIMPET_PAUSED', `${name} is paused: resume it to send to it again`)
  const until = new Date(because.until).toISOString()
  const message = `${name} asked for no requests before ${until} (Retry-After): reset it to try anyway`
  return new AdminRefusal(409, 'M_LIMPET_HELD', message)
}

/**
 * Has the queue look at it. Not waited for: the wish is durable, a queue that is away may take long to say so, and without this nudge the next
 * sweep carries it out.
 */
export function wakeSoon(
  { wake }: Pick<ActionNeeds, 'wake'>,
  { log }: Pick<FastifyRequest, 'log'>,
  target: { destination: string; queue: 'delivery' | 'recovery' },
): void {
  void wake([target]).catch((error: unknown) => {
    log.warn(
      { err: error, destination: target.destination },
      'the queue did not take the wake; the next sweep carries the action out',
    )
  })
}
