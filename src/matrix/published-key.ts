/**
 * Is our key really what a homeserver publishes? Judges its answer to `GET /_matrix/key/v2/server`.
 *
 * Spec: server-server API, "Publishing Keys". Other servers judge the same way what we sign: under our key id they take the key that
 * is published there, for as long as the answer says, and none that it lists as old.
 */
import { canonicalText } from './canonical-json.ts'
import { isOddNumber, JsonError } from './json-value.ts'
import type { JsonValue } from './json-value.ts'
import { verify } from './signing.ts'
import type { SigningKey } from './signing.ts'
import { parseJson } from './strict-json.ts'

export type Published =
  | { readonly kind: 'ours'; readonly validUntil: number }
  /** Not under this id; `ids` are. */
  | { readonly kind: 'not published'; readonly ids: readonly string[] }
  | { readonly kind: 'old' }
  | { readonly kind: 'another'; readonly publicKey: string }
  /** No answer that another server would take. */
  | { readonly kind: 'unusable'; readonly why: string }

type KeyMembers = Record<string, JsonValue>

export function judgePublished(
  body: Uint8Array,
  { serverName, key, now }: { serverName: string; key: Pick<SigningKey, 'keyId' | 'publicKey'>; now: number },
): Published {
  let answer: KeyMembers
  let signed: string
  try {
    answer = membersOf(parseJson(body))
    const members = Object.entries(answer).filter(([name]) => name !== 'signatures' && name !== 'unsigned')
    signed = canonicalText(Object.fromEntries(members))
  } catch (error) {
    if (error instanceof JsonError) return unusable(`it is no JSON that can be signed: ${error.message}`)
    throw error
  }
  if (answer['server_name'] !== serverName)
    return unusable(`its server_name is ${JSON.stringify(answer['server_name'] ?? null)}`)
  const current = membersOf(answer['verify_keys'])
  const old = membersOf(answer['old_verify_keys'])
  if (!Object.hasOwn(current, key.keyId))
    return Object.hasOwn(old, key.keyId)
      ? { kind: 'old' }
      : { kind: 'not published', ids: Object.keys(current) }
  const published = membersOf(current[key.keyId])['key']
  if (typeof published !== 'string' || unpadded(published) !== unpadded(key.publicKey))
    return { kind: 'another', publicKey: typeof published === 'string' ? published : 'none' }
  const signature = membersOf(membersOf(answer['signatures'])[serverName])[key.keyId]
  if (typeof signature !== 'string') return unusable(`it is not signed by ${key.keyId}`)
  if (!verify(key.publicKey, signed, signature)) return unusable(`its signature by ${key.keyId} is wrong`)
  const until = answer['valid_until_ts']
  if (typeof until !== 'number') return unusable('it has no valid_until_ts')
  if (until <= now) return unusable(`its valid_until_ts is over: ${timeText(until)}`)
  return { kind: 'ours', validUntil: until }
}

/** Empty where it is no object. */
const membersOf = (value: JsonValue | undefined): KeyMembers =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isOddNumber(value) ? value : {}

const unusable = (why: string): Published => ({ kind: 'unusable', why })
const unpadded = (base64: string) => base64.replace(/=+$/, '')
const MOST_OF_A_DATE = 8.64e15
const timeText = (ms: number) => (Math.abs(ms) <= MOST_OF_A_DATE ? new Date(ms).toISOString() : String(ms))
