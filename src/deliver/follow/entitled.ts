/** Which followed destinations are entitled to an event or an EDU at its position? Pure. */
import type { LoggedEdu, LoggedEvent } from '../../store/delivery/log-tail.ts'
import { roomsOf, type Audience } from './audience.ts'

interface Entitled<F> {
  /** Of all that are followed. */
  readonly entitled: (entry: LoggedEvent | LoggedEdu) => Iterable<F>
  readonly isEntitled: (followed: { readonly id: number }, entry: LoggedEvent | LoggedEdu) => boolean
}

export function makeEntitled<F extends { readonly id: number }>(
  byId: ReadonlyMap<number, F>,
  audience: Pick<Audience, 'of' | 'ofSet' | 'has'>,
): Entitled<F> {
  function toEdu({ pos, to }: LoggedEdu): Iterable<F> {
    if ('room' in to) return audience.of(to.room, pos, byId)
    if ('rooms' in to) return audience.ofSet(to, pos, byId)
    return to.list.flatMap((id) => byId.get(id) ?? [])
  }

  function toEvent({ room, pos, addressed }: LoggedEvent): Iterable<F> {
    if (addressed === null) return audience.of(room, pos, byId)
    const them = new Set<F>()
    for (const id of addressed.list) {
      const followed = byId.get(id)
      if (followed !== undefined) them.add(followed)
    }
    if (addressed.exact) return them
    const less = new Set(addressed.less)
    for (const followed of audience.of(room, pos, byId)) if (!less.has(followed.id)) them.add(followed)
    return them
  }

  const isToEdu = (id: number, edu: LoggedEdu): boolean =>
    'list' in edu.to ? edu.to.list.includes(id) : roomsOf(edu).some((room) => audience.has(room, id, edu.pos))

  function isToEvent(id: number, { room, pos, addressed }: LoggedEvent): boolean {
    if (addressed?.list.includes(id) === true) return true
    if (addressed !== null && (addressed.exact || addressed.less.includes(id))) return false
    return audience.has(room, id, pos)
  }

  return {
    entitled: (entry) => (entry.kind === 'event' ? toEvent(entry) : toEdu(entry)),
    isEntitled: ({ id }, entry) => (entry.kind === 'event' ? isToEvent(id, entry) : isToEdu(id, entry)),
  }
}

/** The room that alone decides who gets it; null: there is more to it than one. */
export function soleRoomOf(entry: LoggedEvent | LoggedEdu): number | null {
  if (entry.kind === 'event') return entry.addressed === null ? entry.room : null
  return 'room' in entry.to ? entry.to.room : null
}
