/**
 * Admin API: an operator gives up what is owed to one destination up to now. Stored as a wish, as other actions are; the holder of the destination
 * carries it out when it looks, so never while a request is under way.
 */
import type { FastifyInstance } from 'fastify'
import { blockedBecause } from '../../explain/destination.ts'
import type { EduSettings } from '../../deliver/edus.ts'
import { inSnapshot, nowMs } from '../../store/db.ts'
import { wishToSkip } from '../../store/delivery/skips.ts'
import { countDurableEdus } from '../../store/views/count-durable-edus.ts'
import { countPending } from '../../store/views/count-pending.ts'
import { findDestination } from '../../store/views/destination-row.ts'
import { callerName } from '../auth.ts'
import { wakeSoon, type ActionNeeds } from './actions.ts'
import { fieldsOf, flagOf } from './body.ts'
import { notFound } from './refusal.ts'

/** Up to here it is counted exactly what is given up. */
const COUNTED = 10_000

export interface SkipRouteNeeds extends ActionNeeds {
  preview: { edus: Pick<EduSettings, 'durableMs'> }
}

export function registerSkipRoute(app: FastifyInstance, needs: SkipRouteNeeds): void {
  const { pool, vetDomain } = needs
  app.post<{ Params: { server: string } }>('/v1/destinations/:server/skip', async (request) => {
    const name = request.params.server
    const isDry = flagOf(fieldsOf(request.body, ['dry_run']), 'dry_run')
    const pending = await inSnapshot(pool, async (db) => {
      const row = await findDestination(db, name)
      if (row === null) return null
      const { durableMs } = needs.preview.edus
      const edus = await countDurableEdus(db, row.id, { cap: COUNTED, now: await nowMs(db), durableMs })
      return { ...(await countPending(db, row.id, COUNTED)), edus }
    })
    if (pending === null) throw notFound(`unknown destination ${name}`)
    const blocked = blockedBecause(name, vetDomain)
    const answer = {
      pending_pdus: pending.pdus,
      pending_sticky: pending.sticky,
      pending_edus: pending.edus.count,
      ...((pending.capped || pending.edus.capped) && { pending_capped: true }),
      ...(blocked !== null && { blocked }),
    }
    if (isDry) return answer
    const wished = await wishToSkip(pool, { name, who: callerName(request) })
    if (wished === null) throw notFound(`unknown destination ${name}`)
    if (blocked === null) wakeSoon(needs, request, { destination: name, queue: wished.queue })
    return answer
  })
}
