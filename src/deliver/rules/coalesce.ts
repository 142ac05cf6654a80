/**
 * Which EDUs that wait for a destination are still worth sending? Pure; asked when a transaction is put together.
 *
 * Left out are those whose time is over, those that a later one of the same type and key replaces, and of a user with many device-list updates
 * all but the newest: its `prev_id` is unknown to the receiver, which then asks for the whole list (server-server API, "Device Management").
 * A few go one by one, in their order, and need no such question.
 *
 * Always: of each type and key the last whose time is not over goes. What has no key is left out for its age alone, device lists aside. The order
 * stays that of positions, so that what a transaction takes of it is a prefix; a user's receipt without a thread goes behind those with one where
 * they are packed (`matrix/edus/pack.ts`).
 */

/** More pending device-list updates of one user than this are one question for the receiver. */
const MOST_DEVICE_LISTS = 20

export interface PendingEdu {
  readonly pos: number
  readonly eduType: string
  readonly key: string | null
  /** Of `m.device_list_update`: the user. */
  readonly deviceListOf?: string | null
  /** From when on it is not sent, ms since the epoch; null: not for its age. */
  readonly expiresAt: number | null
}

export interface CoalescedEdus<T> {
  /** In the order of their positions, as `dropped`. */
  readonly go: T[]
  readonly dropped: { readonly edu: T; readonly why: 'expired' | 'replaced' | 'collapsed' }[]
}

/**
 * What waits without what a later one replaces. When each goes by itself, so its time does not matter here; and the oldest stays in any case: since when something
 * waits does not depend on what replaces it (`when-edus-go.ts`).
 */
export function withoutReplaced<W>(waiting: readonly W[], eduOf: (one: W) => PendingEdu): W[] {
  const stays = new Set(coalesce(waiting.map(eduOf), 0).go)
  return waiting.filter((one, index) => index === 0 || stays.has(eduOf(one)))
}

/** `pending`: all that the destination is entitled to, in the order of positions, up to the one that was read last. */
export function coalesce<T extends PendingEdu>(pending: readonly T[], now: number): CoalescedEdus<T> {
  const why = new Map<T, CoalescedEdus<T>['dropped'][number]['why']>()
  const later = new Map<string, Set<string>>()
  const deviceLists = new Map<string, T[]>()
  for (let i = pending.length - 1; i >= 0; i -= 1) {
    const edu = pending[i]
    if (edu === undefined) continue
    if (edu.expiresAt !== null && edu.expiresAt <= now) {
      why.set(edu, 'expired')
      continue
    }
    if (edu.key !== null) {
      const keys = later.get(edu.eduType)
      if (keys?.has(edu.key) === true) {
        why.set(edu, 'replaced')
        continue
      }
      if (keys === undefined) later.set(edu.eduType, new Set([edu.key]))
      else keys.add(edu.key)
    }
    if (edu.deviceListOf != null) {
      const ofUser = deviceLists.get(edu.deviceListOf)
      if (ofUser === undefined) deviceLists.set(edu.deviceListOf, [edu])
      else ofUser.push(edu)
    }
  }
  for (const ofUser of deviceLists.values())
    if (ofUser.length > MOST_DEVICE_LISTS) for (const edu of ofUser.slice(1)) why.set(edu, 'collapsed')

  const result: CoalescedEdus<T> = { go: [], dropped: [] }
  for (const edu of pending) {
    const reason = why.get(edu)
    if (reason === undefined) result.go.push(edu)
    else result.dropped.push({ edu, why: reason })
  }
  return result
}
