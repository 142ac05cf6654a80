/** What receivers note of EDUs: how many parts they hold, and which state of each user's presence they were told last. Pure. */

export interface ReceivedEdu {
  edu_type: string
  content: Record<string, unknown>
}

/** Parts as ingest has cut them: a receipt of one user, an update of one user's presence; every other EDU is one. */
export const partsIn = (edus: readonly ReceivedEdu[]): number =>
  edus.reduce((sum, edu) => sum + partsOf(edu), 0)

function partsOf({ edu_type: type, content }: ReceivedEdu): number {
  if (type === 'm.presence') return updatesOf(content).length
  if (type !== 'm.receipt') return 1
  const types = Object.values(content).flatMap((room) => Object.values(room as Record<string, object>))
  return types.reduce((sum, users) => sum + Object.keys(users).length, 0)
}

/** The numbers of to-device messages (`message_id`: m and a number), in the order in which they came. */
export const messagesIn = (edus: readonly ReceivedEdu[]): number[] =>
  edus.flatMap(({ edu_type: type, content }) =>
    type === 'm.direct_to_device' ? [Number(String(content['message_id']).slice(1))] : [],
  )

/** `status_msg` is the number of the change, and grows. */
interface Update {
  user_id: string
  status_msg: string
}

const updatesOf = ({ push }: ReceivedEdu['content']) => push as Update[]

/** What all servers of one process were told of presence. */
export interface PresenceSeen {
  updates: number
  /** Updates that came after a newer one of the same user, at the same server. */
  backwards: number
  /** Pairs of a server and a user of whom it does not know the state that is asked for, and some of them. */
  behind: number
  examples: string[]
}

export interface PresenceNotes {
  note(server: string, edus: readonly ReceivedEdu[]): void
  /** Compares with `latest`, the number of each user's last change, at each of `servers`. */
  seen(latest: ReadonlyMap<string, number>, servers: readonly string[]): PresenceSeen
}

const EXAMPLES = 3

export function makePresenceNotes(): PresenceNotes {
  const known = new Map<string, Map<string, number>>()
  let updates = 0
  let backwards = 0
  return {
    note(server, edus) {
      let users = known.get(server)
      if (users === undefined) known.set(server, (users = new Map<string, number>()))
      for (const { edu_type: type, content } of edus) {
        if (type !== 'm.presence') continue
        for (const { user_id: user, status_msg: text } of updatesOf(content)) {
          const n = Number(text)
          updates += 1
          if (n < (users.get(user) ?? 0)) backwards += 1
          users.set(user, n)
        }
      }
    },
    seen(latest, servers) {
      const wrong = servers.flatMap((server) =>
        [...latest]
          .filter(([user, n]) => known.get(server)?.get(user) !== n)
          .map(
            ([user, n]) => `${server} has ${known.get(server)?.get(user) ?? 'nothing'} of ${user}, not ${n}`,
          ),
      )
      return { updates, backwards, behind: wrong.length, examples: wrong.slice(0, EXAMPLES) }
    },
  }
}
