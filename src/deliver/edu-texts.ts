/** The EDUs of a transaction, of the parts that it holds: as it was put together first, and as it is made again. */
import { packEdus, type EduToPack } from '../matrix/edus/pack.ts'

/** A part; `content` null: it was not read, and such a one is never chosen. */
type ReadPart = Omit<EduToPack, 'content'> & { readonly content: string | null }

/**
 * Canonical JSON, a text an EDU, of parts in the order in which they are packed.
 * @throws RangeError for a form that this release does not know
 */
export function eduTextsOf(form: number, parts: readonly ReadPart[], originServerTs: number): string[] {
  if (parts.length === 0) return []
  const packing = packEdus(form)
  for (const { content, ...part } of parts) if (content !== null) packing.join({ ...part, content })
  return packing.texts(originServerTs)
}
