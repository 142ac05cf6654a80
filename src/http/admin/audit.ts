/** Admin API: what operators did, the newest first. */
import type { FastifyInstance } from 'fastify'
import type { Pool } from '../../store/db.ts'
import { ACT_ORDERS, listActs } from '../../store/views/audit-list.ts'
import { pageOf, pagingOf } from './query.ts'

export function registerAuditRoute(app: FastifyInstance, { pool }: { pool: Pool }): void {
  app.get('/v1/audit', async ({ query }) => {
    const page = pageOf(query, ACT_ORDERS, 'b')
    const list = await listActs(pool, page)
    return { audit: list.rows, ...pagingOf(page, list) }
  })
}
