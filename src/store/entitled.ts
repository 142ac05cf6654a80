/**
 * SQL: which destination gets an event, and which has had it already? The rule is written once, here. A destination is
 * entitled to what is addressed to it, and to what goes to a room's servers if it was in the room when the event was
 * taken.
 *
 * Conditions on an event `e`, with its recipients `r` left joined. `to`: an expression for the destination's id.
 */

/** It is listed by name: in `to`, or beside the room's servers. */
export const addressed = (to: string) => `(${to} = any(r.list))`

/** It is among those that the room's servers are meant for, if it is one of them: `not_to` takes out. */
const byRoom = (to: string) => `(r.id is null or (not r.exact and not ${to} = any(r.less)))`

/** Entitled, membership aside: the caller asks that it was in the room. */
export const entitledAsMember = (to: string) =>
  `(r.id is null or ${to} = any(r.list) or (not r.exact and not ${to} = any(r.less)))`

/** The membership `m` held at the position `pos`, an expression. */
export const heldAt = (pos: string) => `m.since < ${pos} and (m.until is null or ${pos} <= m.until)`

/** It was in the room at the event's own position. */
export const memberAt = (
  to: string,
) => `exists (select 1 from memberships m where m.room = e.room and m.destination = ${to}
                          and ${heldAt('e.pos')})`

/** Entitled at the event's own position, so it does not matter when this is asked. */
export const entitled = (to: string) => `(${addressed(to)} or (${byRoom(to)} and ${memberAt(to)}))`

/** Addressed to one that was not in the room: it could not fetch this from there. */
export const addressedOutside = (to: string) => `${addressed(to)} and not ${memberAt(to)}`

/** It went ahead of the timeline, as a replay, or is counted as sent. `pos`: an expression for the position. */
export const sent = (to: string, pos: string) =>
  `exists (select 1 from replays p where p.destination = ${to} and p.pos = ${pos} and p.state = 'sent')`

/** The same since the join at the position `upto`: a rejoin is owed it once more. */
export const sentSince = (to: string, pos: string, upto: string) =>
  `exists (select 1 from replays p where p.destination = ${to} and p.pos = ${pos} and p.state = 'sent' and p.listed_at >= ${upto})`

/**
 * It is not apart, and its room does not wait (`delivery/apart.ts`): a condition on `e`, asked of a destination that is one for the whole
 * statement, so the lists are read once.
 */
export const notApart = (to: string) =>
  `e.room <> all(array(select w.room from waiting_rooms w where w.destination = ${to}))
   and e.pos <> all(array(select a.pos from apart a where a.destination = ${to}))`
