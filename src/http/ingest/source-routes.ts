/**
 * Admin API: one source that limpet follows, and the operator's order to go on after its database was restored. The
 * process that follows the source carries it out the next time it reads the source.
 */
import type { FastifyInstance } from 'fastify'
import type { Pool } from '../../store/db.ts'
import { readSourceStates } from '../../store/ingest/source-states.ts'
import { readSourceTimeline, wishToContinue } from '../../store/ingest/source-timelines.ts'
import { AdminRefusal, notFound } from '../admin/refusal.ts'
import { callerName } from '../auth.ts'

type OfSource = { Params: { name: string } }

export function registerSourceRoutes(app: FastifyInstance, { pool }: { pool: Pool }): void {
  const known = async (name: string) => {
    const row = (await readSourceStates(pool)).find((one) => one.name === name)
    if (row === undefined) {
      const message = `unknown source ${name}: limpet reads none of this name (where a producer is, GET /v1/ingest/position says)`
      throw notFound(message)
    }
    return row
  }
  app.get<OfSource>('/v1/sources/:name', async ({ params }) => {
    const { name, state, position, behind, since, last_error } = await known(params.name)
    const timeline = await readSourceTimeline(pool, name)
    const restored = timeline?.['restored'] ?? null
    const continuing = restored !== null && timeline?.['goOn'] === true
    return { name, state, position, behind, since, last_error, restored, continuing }
  })
  app.post<OfSource>('/v1/sources/:name/continue', async (request) => {
    const { name } = await known(request.params.name)
    if (!(await wishToContinue(pool, { source: name, who: callerName(request) }))) {
      const message = `${name} needs no command to go on: its database was not restored`
      throw new AdminRefusal(409, 'M_LIMPET_NOT_RESTORED', message)
    }
    return {}
  })
}
