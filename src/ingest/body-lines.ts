/** The lines of an NDJSON body with their numbers, without the empty ones, a few at a time. */

export type BodyLine =
  | { readonly bytes: Uint8Array; readonly index: number }
  /** So many bytes without anything in them: the reader may rest. */
  | { readonly bytes: null; readonly skipped: number }

const NEWLINE = 0x0a
const REST_AFTER = 64 * 1024

/** `index` counts from 0, and empty lines too. */
export function* linesOf(body: Uint8Array): Generator<BodyLine> {
  let index = 0
  let skipped = 0
  for (let at = 0; at < body.length; at++) {
    const code = body[at] ?? 0
    if (code === NEWLINE) index++
    // Space and what ASCII has beside it: tab, line feed, vertical tab, form feed, carriage return.
    if (code === 0x20 || (code >= 0x09 && code <= 0x0d)) {
      if (++skipped < REST_AFTER) continue
      yield { bytes: null, skipped }
      skipped = 0
      continue
    }
    const end = body.indexOf(NEWLINE, at)
    const to = end < 0 ? body.length : end
    yield { bytes: body.subarray(at, to), index }
    at = to
    index++
  }
}
