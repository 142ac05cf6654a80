/** `store/ingest/edus.ts`: EDUs, and the sets of rooms whose servers they are for. */
import { twin, type Twins } from '../statement.ts'

/** Arrays of one value an EDU; then when they came, and the newest durable and other one. */
export type InsertEdus = [
  ...[pos: number[], types: string[], contents: string[], expiresAt: (number | null)[], durable: boolean[]],
  ...[alone: (true | null)[], keys: (string | null)[], who: (string | null)[]],
  ...[rooms: (number | null)[], sets: (number | null)[], recipients: (number | null)[]],
  ...[now: number, durableHead: number, eduHead: number],
]

export const INGEST_EDUS = {
  'store sets of rooms': twin<[string]>(({ t, next }, json) => {
    const given = JSON.parse(json) as { hash: string; rooms: number[] }[]
    return given.map(({ hash, rooms }) => {
      const known = t.edu_rooms.all().find((set) => set.hash === hash)
      const id = known?.id ?? next('edu_rooms')
      if (known === undefined) t.edu_rooms.put(id, { id, hash, rooms })
      return { hash, id }
    })
  }),
  'insert EDUs': twin<InsertEdus>(({ t }, positions, types, contents, expiresAt, durable, ...more) => {
    const [alone, keys, who, rooms, sets, recipients, received_ts, durableHead, eduHead] = more
    const { durable_head = 0, edu_head = 0 } = t.stream.get(1) ?? {}
    t.stream.change(1, {
      durable_head: Math.max(durable_head, durableHead),
      edu_head: Math.max(edu_head, eduHead),
    })
    for (const [i, pos] of positions.entries())
      t.edus.put(pos, {
        ...{ pos, type: types[i] ?? '', content: contents[i] ?? '', received_ts },
        ...{ expires_at: expiresAt[i] ?? null, durable: durable[i] === true, alone: alone[i] ?? null },
        ...{ key: keys[i] ?? null, who: who[i] ?? null },
        ...{ room: rooms[i] ?? null, rooms: sets[i] ?? null, recipients: recipients[i] ?? null },
      })
    return positions.length
  }),
} satisfies Twins
