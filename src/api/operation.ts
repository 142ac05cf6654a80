/** One call of the API as data, and what every call of its kind may be answered. */
import type { z } from 'zod'
import type { Errcode } from './error-codes.ts'

export type Method = 'GET' | 'POST' | 'DELETE'
export type Access = 'ingest' | 'read' | 'admin'

/** Further answers that refuse: HTTP status, code, and when, where that is not what it is everywhere. */
export type DescribedRefusal = readonly [status: number, errcode: Errcode, when?: string]

export interface Operation {
  readonly method: Method
  /** With `{name}` for what differs. */
  readonly path: string
  /** As generated clients call it. */
  readonly name: string
  readonly group: 'Feeding' | 'Reading back' | 'Looking' | 'Acting' | 'Watching'
  /** One line. */
  readonly about: string
  readonly more?: string
  /** Kinds of tokens that may ask; `metrics`: `metrics.token` where that is set; null: everybody. */
  readonly access: readonly Access[] | 'metrics' | null
  readonly query?: Readonly<Record<string, z.ZodType>>
  readonly body?: { readonly required: boolean; readonly json: z.ZodType; readonly lines?: z.ZodType }
  readonly answer: { readonly status: 200 | 202 } & (
    | { readonly json: z.ZodType; readonly or?: z.ZodType }
    /** Content type. */
    | { readonly text: string }
  )
  readonly refusals?: readonly DescribedRefusal[]
}

const ODD_URL: DescribedRefusal = [400, 'M_INVALID_PARAM', 'A parameter or the URL is not valid.']
const EVERY: readonly DescribedRefusal[] = [ODD_URL, [500, 'M_UNKNOWN', 'A fault of limpet.']]
const GUARDED: readonly DescribedRefusal[] = [
  [401, 'M_MISSING_TOKEN', 'There is no token.'],
  [401, 'M_UNKNOWN_TOKEN', 'The token is not known.'],
]
const BODY: readonly DescribedRefusal[] = [
  [400, 'M_BAD_JSON', 'The body is not valid JSON.'],
  [413, 'M_TOO_LARGE', 'The body is too large.'],
  [415, 'M_INVALID_PARAM', 'The content type is not taken.'],
]

/** All answers that refuse, those of its kind included; `when` is always there. */
export function refusalsOf({ method, path, access, refusals = [] }: Operation): [number, Errcode, string][] {
  const all: DescribedRefusal[] = [
    ...EVERY,
    ...refusals,
    ...(access === null ? [] : GUARDED),
    ...(Array.isArray(access) ? KINDS : []),
    ...(path.includes('{') ? [[414, 'M_INVALID_PARAM', 'The name in the path is too long.'] as const] : []),
    ...(method === 'GET' ? [] : BODY),
  ]
  const told = new Map<string, [number, Errcode, string]>()
  for (const [status, errcode, when = ''] of all)
    told.set(`${status} ${errcode} ${when}`, [status, errcode, when])
  return [...told.values()].sort(([a], [b]) => a - b)
}

/** What a call that needs one of the three kinds of tokens adds: it is not there while limpet starts, or without its database. */
const KINDS: readonly DescribedRefusal[] = [
  [403, 'M_FORBIDDEN', 'The token is of another kind.'],
  [503, 'M_LIMPET_UNAVAILABLE', 'limpet is starting or stopping, or its database is away.'],
]

/** What stands for a part of a path. */
export const PATH_PARAMETERS: Readonly<Record<string, { description: string; example: string }>> = {
  server: { description: 'A server name, with its port where it has one.', example: 'b.example:8448' },
  roomId: { description: 'A room id.', example: '!room:example.org' },
  eventId: {
    description: 'An event id, or the `message_id` of a to-device message.',
    example: '$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk',
  },
  id: { description: 'As the list has it.', example: 'pdu-42' },
  name: { description: 'The name of the source.', example: 'synapse' },
}
