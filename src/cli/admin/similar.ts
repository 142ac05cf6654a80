/** Which destination may have been meant by a name that limpet does not know: one with a port, or one that is spelled almost like it. */
import type { DestinationsAnswer } from './answers.ts'
import { RefusedByLimpet, type AdminClient } from './client.ts'
import { SHAPES } from './shape.ts'

/** Letters that may differ: put in, left out, exchanged with the next or for another. */
const MOST_EDITS = 2
const NAMED = 3

/** What `ask` answers. Where it is refused because `name` is not known, the error names those that it may have meant. */
export async function suggesting<T>(
  client: AdminClient,
  name: string | undefined,
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (
      name === undefined ||
      !(error instanceof RefusedByLimpet) ||
      error.why !== `unknown destination ${name}`
    )
      throw error
    const names = await similarTo(client, name).catch(() => [])
    if (names.length === 0) throw error
    throw new RefusedByLimpet(error.errcode, error.why, `: did you mean ${names.join(' or ')}?`)
  }
}

/** With at most two edits, one of three parts of the name is as it was: those that have one of them are looked at. */
async function similarTo(client: AdminClient, name: string): Promise<string[]> {
  const bare = withoutPort(name.toLowerCase())
  const third = Math.ceil(bare.length / (MOST_EDITS + 1))
  const parts = [0, 1, 2]
    .map((nth) => bare.slice(nth * third, (nth + 1) * third))
    .filter((part) => part !== '')
  const found = new Set<string>()
  for (const search of new Set([bare, ...parts])) {
    const query = { search, limit: '1000' }
    const page = (await client.get('/v1/destinations', SHAPES.destinations, query)) as DestinationsAnswer
    for (const { destination } of page.destinations) found.add(destination)
  }
  return closest(name, [...found])
}

/** Of `names` those that may be meant by `name`, the likeliest first. */
export function closest(name: string, names: readonly string[]): string[] {
  const asked = name.toLowerCase()
  const bare = withoutPort(asked)
  // Of a short name, two letters are most of it.
  const most = Math.min(MOST_EDITS, Math.floor(bare.length / 4))
  const rated = names.map((one) => {
    const other = one.toLowerCase()
    const edits = Math.min(editsBetween(asked, other), editsBetween(bare, withoutPort(other)))
    return { one, edits }
  })
  return rated
    .filter(({ edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits || (a.one < b.one ? -1 : 1))
    .slice(0, NAMED)
    .map(({ one }) => one)
}

const withoutPort = (name: string) => name.replace(/(?<!:):\d{1,5}$/, '')

/** Optimal string alignment distance; more than MOST_EDITS where the lengths say so already. */
function editsBetween(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MOST_EDITS) return Infinity
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      next[j] = Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (before[j - 2] ?? 0) + 1 : Infinity,
      )
    }
    before = row
    row = next
  }
  return row[b.length] ?? Infinity
}
