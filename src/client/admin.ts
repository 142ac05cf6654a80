/** The operator's side of limpet (contract, section 4), call by call. Looking needs a read or an admin token, acting an admin token. */
import type { LimpetAction, LimpetAnswer, LimpetBlock } from './answers.ts'
import { makeAsk, part, type LimpetOptions, type QueryValues } from './ask.ts'
import type { ListedPage } from './producer.ts'

type Filters<Name extends string> = ListedPage & { readonly [filter in Name]?: string }

/** Each call throws `LimpetError`. */
export function makeAdmin(options: LimpetOptions) {
  const ask = makeAsk(options)
  const get = <Answer>(path: string, query?: object) =>
    ask<Answer>('GET', { path, query: query as QueryValues | undefined })
  const post = <Answer>(path: string, body?: object) => ask<Answer>('POST', { path, body })
  const at = (server: string, rest = '') => `/v1/destinations/${part(server)}${rest}`
  const quarantined = (server: string, id: string, act: string) =>
    at(server, `/quarantine/${part(id)}/${act}`)
  type Act = LimpetAnswer<'act'>

  return {
    status: () => get<LimpetAnswer<'status'>>('/v1/status'),
    destinations: (query: Filters<'state' | 'search'> = {}) =>
      get<LimpetAnswer<'destinations'>>('/v1/destinations', query),
    destination: (server: string) => get<LimpetAnswer<'destination'>>(at(server)),
    pendingRooms: (server: string, page: ListedPage = {}) =>
      get<LimpetAnswer<'pendingRooms'>>(at(server, '/rooms'), page),
    attempts: (server: string, page: ListedPage = {}) =>
      get<LimpetAnswer<'attempts'>>(at(server, '/transactions'), page),
    quarantine: (server: string, page: ListedPage = {}) =>
      get<LimpetAnswer<'quarantine'>>(at(server, '/quarantine'), page),
    preview: (server: string) => get<LimpetAnswer<'preview'>>(at(server, '/preview')),
    discovery: (server: string, { fresh = false }: { fresh?: boolean } = {}) =>
      get<LimpetAnswer<'discovery'>>(at(server, '/discovery'), { fresh }),
    explain: (eventId: string, query: { destination?: string } = {}) =>
      get<LimpetAnswer<'explain'>>(`/v1/events/${part(eventId)}`, query),
    sticky: (query: Filters<'room_id' | 'destination'> = {}) =>
      get<LimpetAnswer<'sticky'>>('/v1/sticky', query),
    blocks: () => get<LimpetAnswer<'blocks'>>('/v1/blocks'),
    audit: (page: ListedPage = {}) => get<LimpetAnswer<'audit'>>('/v1/audit', page),
    source: (name: string) => get<LimpetAnswer<'source'>>(`/v1/sources/${part(name)}`),

    wake: (server: string) => post<Act>(at(server, '/wake')),
    reset: (server: string) => post<Act>(at(server, '/reset')),
    pause: (server: string) => post<Act>(at(server, '/pause')),
    resume: (server: string) => post<Act>(at(server, '/resume')),
    /** Gives up what is owed to it; `dry_run` only counts. */
    skip: (server: string, body: { dry_run?: boolean } = {}) =>
      post<LimpetAnswer<'skip'>>(at(server, '/skip'), body),
    retryQuarantined: (server: string, id: string) => post<Act>(quarantined(server, id, 'retry')),
    dropQuarantined: (server: string, id: string) => post<Act>(quarantined(server, id, 'drop')),
    actOnMany: (body: LimpetAction) => post<LimpetAnswer<'actOnMany'>>('/v1/actions', body),
    /** On a dry run whom it concerns, else empty. */
    block: (body: LimpetBlock) => post<Partial<LimpetAnswer<'concerned'>>>('/v1/blocks', body),
    unblock: (query: { glob: string; dry_run?: boolean }) =>
      ask<Partial<LimpetAnswer<'concerned'>>>('DELETE', { path: '/v1/blocks', query }),
    continueSource: (name: string) => post<Act>(`/v1/sources/${part(name)}/continue`),
  }
}

export type LimpetAdmin = ReturnType<typeof makeAdmin>
