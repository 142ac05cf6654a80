/** Admin API: what became of a to-device message, by its `message_id`. */
import type { VetDomain } from '../../allow/domains.ts'
import { viewFate } from '../../explain/event.ts'
import { messageFate } from '../../explain/message-fate.ts'
import type { Fate } from '../../explain/fate.ts'
import { nowMs, type Db } from '../../store/db.ts'
import { findDestination, readDestinations } from '../../store/views/destination-row.ts'
import {
  findMessage,
  readMessageFacts,
  readMessageSkips,
  readRefusedMessages,
  type MessageFacts,
} from '../../store/views/message-facts.ts'
import { notFound } from './refusal.ts'

/** Null: no such message is stored. `name`: of the only destination that is asked about; null: all that it is for. */
export async function explainMessage(
  db: Db,
  around: { vetDomain: VetDomain | null; deadAfterMs: number },
  { messageId, name }: { messageId: string; name: string | null },
) {
  const rows = await findMessage(db, messageId)
  const [first] = rows
  if (first === undefined) return null
  const only = name === null ? null : await findDestination(db, name)
  if (name !== null && only === null) throw notFound(`unknown destination ${name}`)
  const ids = only === null ? [...new Set(rows.flatMap(({ list }) => list))] : [only.id]
  const now = await nowMs(db)
  const facts = new Map((await readMessageFacts(db, ids)).map((row) => [row.destination, row]))
  const skips = await readMessageSkips(db, ids, first.pos)
  const refused = await readRefusedMessages(
    db,
    ids,
    rows.map(({ pos }) => pos),
  )
  const found = await readDestinations(db, ids)
  const fatesOf = (id: number): Fate[] => {
    const its: MessageFacts | undefined = facts.get(id)
    const given = rows.filter(({ list }) => list.includes(id))
    if (its === undefined || given.length === 0) return [NOT_FOR_IT]
    const ofIt = skips.filter(({ destination }) => destination === id)
    return given.map((row) => {
      const isIt = (one: { destination: number; pos: number }) =>
        one.destination === id && one.pos === row.pos
      const apart = refused.apart.find(isIt) ?? null
      const givenUp = refused.givenUp.find(isIt) ?? null
      return messageFate(row, { facts: its, skips: ofIt, apart, givenUp }, now)
    })
  }
  const told = found
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((destination) => fatesOf(destination.id).map((fate) => ({ destination, fate })))
  return {
    event_id: null,
    message_id: messageId,
    room_id: null,
    position: first.pos,
    received: first.received_ts,
    sticky_until: null,
    destinations: told.map((one) => viewFate(one, { now, ...around })),
  }
}

const NOT_FOR_IT: Fate = {
  ...{ outcome: 'not_entitled', as: null, txn_id: null, at: null },
  why: 'the message is for other servers',
}
