/**
 * Reads JSON as every other homeserver will read it, or says where that is not possible.
 *
 * `JSON.parse` takes the last of two equal keys, lets lone surrogates through and rounds large numbers; then two
 * servers hash different events. Here the first two are errors, and such numbers keep their text, so that the code
 * that knows the room version decides about them.
 *
 * Always: whatever the text, the result is a value or a `JsonError`. No string of the result keeps the whole text in
 * memory (an id that outlives its request would otherwise keep 16 MiB).
 */
import { isUtf8 } from 'node:buffer'
import { makeJsonReader } from './json-reader.ts'
import { JsonError } from './json-value.ts'
import type { JsonValue } from './json-value.ts'
import { TRUSTED, UNLIMITED } from './read-limits.ts'

/**
 * Parses JSON text, or bytes that must be UTF-8, in one go.
 * @throws JsonError with the fault and its dotted path
 */
export function parseJson(input: string | Uint8Array, limits = TRUSTED): JsonValue {
  if (typeof input !== 'string' && !isUtf8(input)) throw new JsonError('syntax', [], 'not UTF-8')
  const reader = makeJsonReader(input, limits)
  reader.read(UNLIMITED)
  return reader.taken()
}
