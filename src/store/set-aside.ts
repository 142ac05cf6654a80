/**
 * SQL: which PDUs were set aside (contract 5.9)? The rule is written once, here. Conditions on `a` (apart): `grp` null says that no search has it. Several
 * of one room hold the room, and are then tried together: those have no time of their own.
 */

/** Of a held room, if its room is held: it is tried with the others. */
export const OF_ITS_ROOM = 'a.grp is null and a.next_at is null'

/** It is tried alone. */
export const SET_ASIDE = `a.grp is null and not (a.next_at is null and exists (
       select 1 from waiting_rooms w where w.destination = a.destination and w.room = a.room and w.held_since is not null))`
