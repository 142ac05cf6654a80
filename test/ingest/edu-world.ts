/** Ingest that takes EDUs beside other items, below its door, and what it has stored of them. */
import type { IngestRequest } from '../../src/ingest/append.ts'
import type { Item } from '../../src/ingest/items.ts'
import { ALICE, receiptOf, takenEdu, toDeviceContent } from './edu/edu-item.ts'
import {
  makeIngestWorld,
  OURS,
  parse,
  request,
  ROOM,
  type RequestOptions,
  type Taken,
} from './ingest-world.ts'

export type EduWorld = Awaited<ReturnType<typeof makeEduWorld>>

/** As its producer writes it. */
export type GivenEdu = { edu_type: string } & Record<string, unknown>

export const typing = (isTyping = true, also: object = {}): GivenEdu => ({
  edu_type: 'm.typing',
  content: { room_id: ROOM, user_id: ALICE, typing: isTyping },
  rooms: [ROOM],
  ...also,
})

/** Of these users. */
export const receipts = (users: readonly string[], also: object = {}): GivenEdu => ({
  edu_type: 'm.receipt',
  content: {
    [ROOM]: { 'm.read': Object.fromEntries(users.map((user) => [`@${user}:${OURS}`, receiptOf('$e')])) },
  },
  rooms: [ROOM],
  ...also,
})

export const toDevice = (
  messageId: string,
  destinations: readonly string[],
  also: object = {},
): GivenEdu => ({
  edu_type: 'm.direct_to_device',
  content: toDeviceContent(messageId),
  destinations,
  ...also,
})

/** Of a type that the specification does not have. */
export const other = (also: object): GivenEdu => ({
  edu_type: 'org.example.thing',
  content: { a: 1 },
  ...also,
})

/** Those with an `edu_type` are EDUs. */
export const itemsOf = (items: readonly object[]): Item[] =>
  items.flatMap((item) => ('edu_type' in item ? [takenEdu(item)] : parse([item])))

export const eduRequest = (items: readonly object[], options: RequestOptions = {}): IngestRequest => ({
  ...request([], options),
  items: itemsOf(items),
})

export async function makeEduWorld(needs: Parameters<typeof makeIngestWorld>[0] = {}) {
  const world = await makeIngestWorld(needs)
  return {
    ...world,
    async take(items: readonly object[], options: RequestOptions = {}): Promise<Taken> {
      const result = await world.append(eduRequest(items, options))
      if (result.kind !== 'taken') throw new Error(`not taken: ${JSON.stringify(result)}`)
      return result
    },
    /** `position type` and for whom, of each. */
    async edus(): Promise<string[]> {
      const found = await world.rows<{ text: string }>(
        `select e.pos || ' ' || e.type || ' ' ||
                coalesce('in ' || r.room_id, 'in ' || (select string_agg(o.room_id, ' ' order by o.room_id) from rooms o where o.id = any(s.rooms)),
                         'to ' || (select coalesce(string_agg(d.name, ' ' order by d.name), 'nobody') from destinations d where d.id = any(l.list))) as text
           from edus e left join rooms r on r.id = e.room left join edu_rooms s on s.id = e.rooms left join recipients l on l.id = e.recipients
          order by e.pos`,
      )
      return found.map(({ text }) => text)
    },
  }
}
