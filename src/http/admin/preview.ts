/** `GET /v1/destinations/{server}/preview`: what `limpet preview` prints. Nothing is sent, and nothing is written. */
import type { FastifyInstance } from 'fastify'
import type { VetDomain } from '../../allow/domains.ts'
import { previewOf, type Preview, type PreviewNeeds } from '../../deliver/preview.ts'
import { nowMs } from '../../store/db.ts'
import { findDestination } from '../../store/views/destination-row.ts'
import { listQuarantine, type QuarantineRow } from '../../store/views/quarantine.ts'
import { viewDestination, type DestinationView } from './destination-view.ts'
import { notFound } from './refusal.ts'

export interface PreviewRouteNeeds {
  preview: Omit<PreviewNeeds, 'pool'>
  pool: PreviewNeeds['pool']
  vetDomain: VetDomain | null
  /** After how long one that fails is dead, ms. */
  deadAfterMs: number
}

export interface PreviewView extends Preview, Pick<DestinationView, 'destination' | 'state' | 'reason'> {
  /** Of the body; 0 without one. */
  bytes: number
  /** When it would go at the earliest, ms since the epoch; null: in its turn. */
  next_attempt: number | null
  /** What is set aside, and the rooms that are held: how many, and those that are tried next. */
  set_aside: { total: number; next: QuarantineRow[] }
}

/** So many of what is set aside are shown; `quarantine` has all. */
const SHOWN = 10

export function registerPreviewRoute(app: FastifyInstance, needs: PreviewRouteNeeds): void {
  const { preview, pool, vetDomain } = needs
  app.get<{ Params: { server: string } }>(
    '/v1/destinations/:server/preview',
    async ({ params }): Promise<PreviewView> => {
      const row = await findDestination(pool, params.server)
      const found = row && (await previewOf({ ...preview, pool }, row.id))
      if (row === null || found === null) throw notFound(`unknown destination ${params.server}`)
      const view = viewDestination(row, { now: await nowMs(pool), vetDomain, deadAfterMs: needs.deadAfterMs })
      const { destination, state, reason, next_attempt } = view
      const bytes = found.body === null ? 0 : Buffer.byteLength(found.body)
      const page = { from: 0, limit: SHOWN, orderBy: 'next_try', dir: 'f' } as const
      const { rows: next, total } = await listQuarantine(pool, row.id, page)
      return { destination, state, reason, next_attempt, ...found, bytes, set_aside: { total, next } }
    },
  )
}
