/** The EDUs of a transaction, of the parts that it holds: as it was put together first, and as it is made again. */
import { packEdus, type EduToPack } from '../matrix/edus/pack.ts'
import { hasContent } from './rules/edu-lanes.ts'

/** A part; `content` null: it was not read, and such a one is never chosen. */
type ReadPart = Omit<EduToPack, 'content'> & { readonly content: string | null }

export interface PackedEdus {
  /** Canonical JSON, one an EDU. */
  readonly texts: readonly string[]
  /** How many EDUs of each type they are. */
  readonly types: ReadonlyMap<string, number>
}

const NO_EDUS: PackedEdus = { texts: [], types: new Map() }

/**
 * Of parts in the order in which they are packed.
 * @throws RangeError for a form that this release does not know
 */
export function packedEdus(form: number, parts: readonly ReadPart[], originServerTs: number): PackedEdus {
  if (parts.length === 0) return NO_EDUS
  const packing = packEdus(form)
  for (const part of parts) if (hasContent(part)) packing.join(part)
  return { texts: packing.texts(originServerTs), types: packing.types() }
}
