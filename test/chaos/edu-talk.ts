/**
 * EDUs for a crash story, as the users of a homeserver make them (`src/simulate/story/edu-talk.ts`), and some that are harder to keep right: their time
 * is over within a second or two, they have a key of their own, or are so large that they travel alone.
 */
import { makeDice } from '../../src/simulate/story/dice.ts'
import { makeEduTalk } from '../../src/simulate/story/edu-talk.ts'
import type { EduToTell } from '../../src/simulate/story/edu-told.ts'
import { lifeOf } from '../../src/simulate/story/edu-told.ts'
import { OURS } from '../e2e/world.ts'
import type { Random } from './random.ts'

export interface RoughTalk {
  /** The next `count` items, or a few more. */
  say(count: number): EduToTell[]
  /** Nobody types any more, and each server gets a message, so that it is looked at what else there is for it. */
  end(): EduToTell[]
}

/** Typing, receipts, presence, to-device messages, device lists, signing keys. */
const WEIGHTS = [20, 35, 10, 25, 8, 2]
const USERS = 12
/** How often an EDU that is not durable lasts for a short time only, a message is large, and one is of an unknown type. */
const SHORT = 0.3
const LARGE = 0.02
const UNKNOWN = 0.05
const SHORTEST_MS = 200
const LONGEST_MS = 2_500
/** Above this an EDU travels alone (contract 3). */
const LARGE_BYTES = 70_000

export function makeRoughTalk({
  random,
  rooms,
  servers,
}: {
  random: Random
  rooms: readonly string[]
  servers: readonly string[]
}): RoughTalk {
  const dice = makeDice(Math.floor(random() * 2 ** 32))
  const talk = makeEduTalk({
    ...{ dice, serverName: OURS, roomIds: rooms, servers, now: () => Date.now() },
    ...{ users: USERS, weights: WEIGHTS },
  })
  const run = dice.below(2 ** 32).toString(16)
  let said = 0

  function rougher(item: EduToTell): EduToTell {
    if (item.edu_type === 'm.direct_to_device' && dice.next() < LARGE)
      return { ...item, content: { ...item.content, padding: 'x'.repeat(LARGE_BYTES) } }
    if (lifeOf(item) === null || dice.next() >= SHORT) return item
    return { ...item, ttl_ms: SHORTEST_MS + dice.below(LONGEST_MS - SHORTEST_MS) }
  }

  /** A later one of the same place replaces it. */
  function unknown(): EduToTell {
    said += 1
    const place = `place ${dice.below(5)}`
    const room = rooms[dice.below(rooms.length)] ?? ''
    return {
      ...{ type: 'edu', edu_type: 'org.example.place', content: { place, said: `${run} ${said}` } },
      ...{ rooms: [room], key: place },
    }
  }

  return {
    say: (count) => [...talk.say(count), ...(dice.next() < UNKNOWN ? [unknown()] : [])].map(rougher),
    end: () => [...talk.stopTyping(), ...servers.map((server) => lastTo(server, run))],
  }
}

function lastTo(server: string, run: string): EduToTell {
  const content = {
    ...{ sender: `@last:${OURS}`, type: 'org.example.last', message_id: `last ${run}` },
    messages: { [`@reader:${server}`]: { '*': {} } },
  }
  return { type: 'edu', edu_type: 'm.direct_to_device', content, destinations: [server] }
}
