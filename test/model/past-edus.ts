/** What the reference model remembers of EDUs: whom each was for when it came, and what became of it. No cursors, no windows. */
import { SETTINGS, type ModelItem, type ModelPart } from './driver.ts'

export interface PastEdu extends Omit<ModelPart, 'ttlMs'> {
  pos: number
  eduType: string
  durable: boolean
  alone: boolean
  /** Of an EDU that holds it alone. */
  bytes: number
  receivedAt: number
  /** From when on it is put into no transaction; a durable one also by its age. */
  expiresAt: number
  /** It is for us, by a list or by our being in one of its rooms at its position. */
  entitled: boolean
  /** The rooms by which it is, while they are not purged; null: a list. */
  rooms: Set<number> | null
  /** Its room was purged, or the last of these; the position of that. */
  forgottenAt: number | null
  /** An operator gave it up; and where it was set aside, by a drop: what holds it is void. */
  givenUp: boolean
  dropped: boolean
  /** An answer with it was written down; or a cursor has passed it, as it may. */
  told: boolean
  leftOut: boolean
  /** A transaction with it has ended that may have arrived: what is not durable does not go again. */
  passed: boolean
  /** It is out of its lane: set aside, or nothing is concluded of it. */
  apart: 'sure' | 'doubtful' | null
  /** How often it was refused alone, by a gateway and by others, and an empty transaction was answered 200 after that. */
  refused: { readonly gateway: number; readonly others: number }
  /** Transactions with it that may have arrived. */
  ids: ReadonlySet<string>
}

export type PastEdus = ReturnType<typeof makePastEdus>

type EduItem = Extract<ModelItem, { type: 'edu' }>

/** Nothing of it is left to do in its lane. */
export const isDone = (edu: PastEdu): boolean =>
  !edu.entitled ||
  edu.told ||
  edu.leftOut ||
  edu.givenUp ||
  edu.forgottenAt !== null ||
  edu.apart !== null ||
  (edu.passed && !edu.durable)

export function makePastEdus({ inRoom, isKnown }: Record<'inRoom' | 'isKnown', (room: number) => boolean>) {
  const edus = new Map<number, PastEdu>()

  /** How many positions it takes: one for each part, and none where it is for nobody. */
  const widthOf = ({ rooms, to, parts }: EduItem): number =>
    (rooms === null ? (to ?? []).length > 0 : rooms.some(isKnown)) ? parts.length : 0

  return {
    widthOf,
    take(item: EduItem, first: number, now: number): void {
      if (widthOf(item) === 0) return
      const { eduType, durable, alone, content } = item
      const rooms = item.rooms === null ? null : item.rooms.filter(inRoom)
      for (const [i, { ttlMs, ...part }] of item.parts.entries()) {
        const age = durable ? SETTINGS.edus.durableMs : Infinity
        edus.set(first + i, {
          ...part,
          ...{ pos: first + i, eduType, durable, alone, receivedAt: now },
          bytes: JSON.stringify({ content, edu_type: eduType }).length,
          expiresAt: now + Math.min(ttlMs ?? Infinity, age),
          entitled: rooms === null ? item.to?.includes('us') === true : rooms.length > 0,
          rooms: rooms === null ? null : new Set(rooms),
          ...{
            forgottenAt: null,
            givenUp: false,
            dropped: false,
            told: false,
            leftOut: false,
            passed: false,
          },
          ...{ apart: null, refused: { gateway: 0, others: 0 } },
          ids: new Set(),
        })
      }
    },
    purge(room: number, pos: number): void {
      for (const edu of edus.values()) {
        if (edu.rooms?.has(room) !== true) continue
        edu.rooms = new Set([...edu.rooms].filter((one) => one !== room))
        if (edu.rooms.size === 0) edu.forgottenAt ??= pos
      }
    },
    skipWished(upto: number): void {
      for (const edu of edus.values()) if (edu.pos <= upto && !edu.told) edu.givenUp = true
    },
    at: (pos: number) => edus.get(pos),
    byNumber: (n: number) => [...edus.values()].find((one) => one.n === n),
    all: () => [...edus.values()],
    /** For us, in the order of positions. */
    ours: (durable: boolean) => [...edus.values()].filter((one) => one.entitled && one.durable === durable),
    save: () => {
      const past = [...edus.values()].map((one) => ({ ...one }))
      return () => {
        edus.clear()
        for (const one of past) edus.set(one.pos, { ...one })
      }
    },
  }
}
