/**
 * The text of one part of an EDU, made by itself, so that what a user has put into it spoils nothing else.
 *
 * Users choose much of what is in EDUs: device names and keys, messages to devices. One number outside canonical JSON, and receivers refuse
 * everything that is in a transaction with it (Synapse CVE-2025-61672).
 */
import { canonicalForm } from '../../matrix/canonical-json.ts'
import { contentOfEdu, MAX_EDU_BYTES } from '../../matrix/edus/wire.ts'
import { JsonError, type JsonObject } from '../../matrix/json-value.ts'
import type { EduIgnoredWhy } from '../items.ts'

/** Bytes of a whole EDU, canonical. */
const MOST_BYTES = 1024 * 1024

export type PartText =
  | { readonly kind: 'made'; readonly content: string; readonly alone: boolean }
  | { readonly kind: 'left out'; readonly why: EduIgnoredWhy }

/** `content` as canonical JSON, or why it can't be sent. */
export function partText(eduType: string, content: JsonObject): PartText {
  let form: { text: string; odd: boolean }
  try {
    form = canonicalForm({ content, edu_type: eduType })
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    return { kind: 'left out', why: 'not_canonical' }
  }
  // Nested beyond 100 levels, where parsers of other servers stop.
  if (form.odd) return { kind: 'left out', why: 'not_canonical' }
  const bytes = Buffer.byteLength(form.text)
  if (bytes > MOST_BYTES) return { kind: 'left out', why: 'too_large' }
  return { kind: 'made', content: contentOfEdu(eduType, form.text), alone: bytes > MAX_EDU_BYTES }
}
