/**
 * Reads what waits of the lane that is not durable, where most of it is replaced: a thousand rows of presence may be of a hundred users. Then more is read
 * at once, so that who is behind comes to the end of the lane although it gets one transaction a second.
 *
 * Always: the beginning of the lane, without those that a later one of it replaces; but the oldest stays, as it says since when something waits
 * (`rules/when-edus-go.ts`).
 */
import type { EdusRead, StoredEdu } from '../store/delivery/edus.ts'
import type { Most } from '../store/within-bytes.ts'
import { withoutReplaced } from './rules/coalesce.ts'

/** Readings for one look. */
const READINGS = 5

/** `read`: a beginning of what is after a position. It is asked once more where it brought all `rows` and few of them go. */
export async function readEphemeral(
  read: (after: number, most: Most) => Promise<EdusRead>,
  { after, upto }: { after: number; upto: number },
  { rows, bytes }: Most,
): Promise<EdusRead> {
  let found = await read(after, { rows, bytes })
  let isFull = found.edus.length >= rows
  for (let n = 1; n < READINGS && isFull && found.upto < upto; n += 1) {
    const edus = withoutReplaced(found.edus, (edu) => edu)
    const left = bytes - bytesOf(edus)
    if (edus.length >= rows || left <= 0 || edus.some(({ content }) => content === null)) break
    const next = await read(found.upto, { rows, bytes: left })
    isFull = next.edus.length >= rows
    found = { edus: [...edus, ...next.edus], upto: next.upto }
  }
  return found
}

const bytesOf = (edus: readonly StoredEdu[]): number =>
  edus.reduce((sum, { content }) => sum + Buffer.byteLength(content ?? ''), 0)
