/** Is an answer one of limpet's? Told by the fields that are used, so that what some other program says is not shown as if it were. */

type FieldKind = 'text' | 'number' | 'map'
/** What fields an answer must have; a shape in a list: of each of its rows. */
export interface Shape {
  readonly [field: string]: FieldKind | readonly [Shape]
}

const LISTED = { total: 'number' } as const
const ROW = { destination: 'text', state: 'text', reason: 'text', pending_pdus: 'number' } as const

export const SHAPES = {
  status: {
    server_name: 'text',
    version: 'text',
    position: 'number',
    destinations: 'map',
    pending_pdus: 'number',
  },
  destinations: { destinations: [ROW], ...LISTED },
  destination: { ...ROW, position: 'number', head: 'number' },
  rooms: { rooms: [{ room_id: 'text' }], ...LISTED },
  transactions: { transactions: [{ at: 'number', outcome: 'text' }], ...LISTED },
  sticky: { sticky: [{ event_id: 'text', room_id: 'text', expires_at: 'number', owed_to: [{}] }], ...LISTED },
  quarantine: { quarantine: [{ id: 'text', kind: 'text', since: 'number' }], ...LISTED },
  event: { position: 'number', received: 'number', destinations: [{ destination: 'text', outcome: 'text' }] },
  preview: { destination: 'text', reason: 'text', pdus: [{ event_id: 'text' }], set_aside: 'map' },
  discovery: {
    destination: 'text',
    steps: [{ step: 'text' }],
    places: [{ host: 'text' }],
    connects_to: [{}],
  },
  source: { name: 'text', state: 'text', since: 'number' },
  skip: { pending_pdus: 'number', pending_sticky: 'number' },
  many: { matched: 'number', names: [{}], blocked: 'number', left_out: 'map' },
  concerned: { matched: 'number', names: [{}] },
  /** Of an action. */
  done: {},
} as const satisfies Record<string, Shape>

/** The first field that is not as it must be; null: all are. */
export function wrongIn(answer: Readonly<Record<string, unknown>>, shape: Shape): string | null {
  for (const [field, kind] of Object.entries(shape)) {
    const value = answer[field]
    if (typeof kind !== 'string') {
      if (!Array.isArray(value)) return field
      const [rows] = kind
      if (Object.keys(rows).length === 0) continue
      const wrong = value.some((row: unknown) => !isMap(row) || wrongIn(row, rows) !== null)
      if (wrong) return field
    } else if (!(kind === 'map' ? isMap(value) : typeof value === (kind === 'text' ? 'string' : 'number'))) {
      return field
    }
  }
  return null
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
