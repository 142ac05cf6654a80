/**
 * Admin API: what a destination refuses and was therefore set aside, and the rooms that are held (contract 5.9). An operator has something of it
 * tried at once, or gives it up.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { blockedBecause } from '../../explain/destination.ts'
import { inSnapshot } from '../../store/db.ts'
import {
  giveUpNow,
  parseQuarantineId,
  tryNow,
  type QuarantineAct,
  type QuarantineActed,
} from '../../store/delivery/quarantine-acts.ts'
import { findDestination } from '../../store/views/destination-row.ts'
import { listQuarantine, QUARANTINE_ORDERS } from '../../store/views/quarantine.ts'
import { callerName } from '../auth.ts'
import { refuseToTry, wakeSoon, type ActionNeeds } from './actions.ts'
import { pageOf, pagingOf } from './query.ts'
import { notFound } from './refusal.ts'

export interface QuarantineRouteNeeds extends ActionNeeds {
  /** So many pairs of event and destination were given up. */
  onGivenUp: (count: number) => void
}

interface OfItem {
  Params: { server: string; id: string }
}

export function registerQuarantineRoutes(app: FastifyInstance, needs: QuarantineRouteNeeds): void {
  const { pool, vetDomain } = needs
  const path = '/v1/destinations/:server/quarantine'
  app.get<{ Params: { server: string } }>(path, ({ params, query }) =>
    inSnapshot(pool, async (db) => {
      const page = pageOf(query, QUARANTINE_ORDERS)
      const row = await findDestination(db, params.server)
      if (row === null) throw notFound(`unknown destination ${params.server}`)
      const list = await listQuarantine(db, row.id, page)
      return { quarantine: list.rows, ...pagingOf(page, list) }
    }),
  )

  const actOf = (request: FastifyRequest<OfItem>): QuarantineAct => {
    const { server: name, id } = request.params
    const named = parseQuarantineId(id)
    if (named === null) throw unknown(request.params)
    return { name, id, named, who: callerName(request) }
  }
  /** Its turn comes soon: what was done is durable. */
  const wakeAfter = (request: FastifyRequest<OfItem>, { queue }: Done, blocked: string | null) => {
    if (blocked === null) wakeSoon(needs, request, { destination: request.params.server, queue })
  }

  app.post<OfItem>(`${path}/:id/retry`, async (request) => {
    const act = actOf(request)
    const row = await findDestination(pool, act.name)
    const blocked = row && blockedBecause(row.name, vetDomain)
    if (blocked !== null) throw refuseToTry(act.name, { kind: 'blocked', why: blocked })
    const acted = await tryNow(pool, act)
    if (acted.kind === 'unknown') throw unknown(request.params)
    if (acted.kind !== 'done') throw refuseToTry(act.name, acted)
    wakeAfter(request, acted, null)
    return {}
  })

  app.post<OfItem>(`${path}/:id/drop`, async (request) => {
    const act = actOf(request)
    const acted = await giveUpNow(pool, act)
    if (acted.kind !== 'done') throw unknown(request.params)
    needs.onGivenUp(acted.givenUp)
    const blocked = blockedBecause(act.name, vetDomain)
    wakeAfter(request, acted, blocked)
    return blocked === null ? {} : { blocked }
  })
}

type Done = Extract<QuarantineActed, { kind: 'done' }>

const unknown = ({ server, id }: OfItem['Params']) => notFound(`${server} has no ${id} set aside`)
