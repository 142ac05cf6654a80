/**
 * Presence of many users in few EDUs, each update with the time it has waited.
 *
 * Spec: server-server API, "Presence": `push` is a list of updates. An update is the text of one member of that list. What is counted is
 * never less than what is sent: `last_active_ago` may grow to its greatest length while it waits, and how many EDUs there are does not
 * depend on when they are sent.
 */
import { eduText, endOfString, MAX_EDU_BYTES, type EduPlace } from './wire.ts'

/** More updates than other servers send in one EDU make it long for nothing. */
const MOST_UPDATES = 50
const [BEFORE, AFTER] = ['{"push":[', ']}'] as const
const FRAME_BYTES = eduText('m.presence', `${BEFORE}${AFTER}`).length

export interface PresenceUpdate {
  /** The update; with an age, what stands around it. */
  readonly text: string | { readonly before: string; readonly age: number; readonly after: string }
  /** When it came, ms since the epoch. */
  readonly receivedTs: number
  /** With the longest age that it can have. */
  readonly bytes: number
}

/** The update in the content of a part, canonical JSON; null: it holds something else. */
export function readUpdate(content: string, receivedTs: number): PresenceUpdate | null {
  if (!content.startsWith(`${BEFORE}{`) || !content.endsWith(`}${AFTER}`)) return null
  const update = content.slice(BEFORE.length, -AFTER.length)
  const split = splitAtAge(update)
  if (split === null) return { text: update, receivedTs, bytes: Buffer.byteLength(update) }
  const { before, age, after } = split
  const longest = Math.max(String(age).length, String(Number.MAX_SAFE_INTEGER).length)
  return { text: split, receivedTs, bytes: Buffer.byteLength(before) + longest + Buffer.byteLength(after) }
}

const AGE = '"last_active_ago":'
const INTEGER = /-?[0-9]+/y

/** At the number of the update's own `last_active_ago`, not at one within something else. */
function splitAtAge(update: string): { before: string; age: number; after: string } | null {
  if (!update.includes(AGE)) return null
  let depth = 0
  for (let at = 0; at < update.length; at += 1) {
    const sign = update[at]
    if (sign === '{' || sign === '[') depth += 1
    else if (sign === '}' || sign === ']') depth -= 1
    else if (sign === '"') {
      if (depth === 1 && update.startsWith(AGE, at)) return splitAtNumber(update, at + AGE.length)
      at = endOfString(update, at) - 1
    }
  }
  return null
}

function splitAtNumber(update: string, from: number): { before: string; age: number; after: string } | null {
  INTEGER.lastIndex = from
  const age = INTEGER.exec(update)?.[0]
  if (age === undefined) return null
  return { before: update.slice(0, from), age: Number(age), after: update.slice(from + age.length) }
}

/** It is relative to when it is sent, and it has waited since it came. A clock that was set back takes nothing away. */
function textAt({ text, receivedTs }: PresenceUpdate, originServerTs: number): string {
  if (typeof text === 'string') return text
  const age = Math.min(Number.MAX_SAFE_INTEGER, text.age + Math.max(0, originServerTs - receivedTs))
  return `${text.before}${age}${text.after}`
}

/** Puts updates together in the order in which they come. */
export function packPresence() {
  const edus: { updates: PresenceUpdate[]; bytes: number }[] = []
  return {
    placeOf(update: PresenceUpdate): EduPlace {
      const last = edus.at(-1)
      const bytes = update.bytes + 1
      if (last !== undefined && last.updates.length < MOST_UPDATES && last.bytes + bytes <= MAX_EDU_BYTES) {
        const take = () => {
          last.updates.push(update)
          last.bytes += bytes
        }
        return { edus: 0, bytes, take }
      }
      const whole = FRAME_BYTES + update.bytes
      return { edus: 1, bytes: whole, take: () => edus.push({ updates: [update], bytes: whole }) }
    },
    texts: (originServerTs: number): string[] =>
      edus.map(({ updates }) => {
        const list = updates.map((update) => textAt(update, originServerTs)).join(',')
        return eduText('m.presence', `${BEFORE}${list}${AFTER}`)
      }),
  }
}
