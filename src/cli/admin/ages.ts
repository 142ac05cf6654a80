/** Times and counts as people read them: `3m ago`, `1 PDU`, `1,234 PDUs`. */

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
] as const

/** A length of time (ms) in its largest unit: `45s`, `3m`, `2h`, `9d`. */
export function ageText(ms: number | null): string | null {
  if (ms === null) return null
  const [unit, size] = UNITS.find(([, least]) => ms >= least) ?? (['s', 1000] as const)
  return `${Math.max(0, Math.floor(ms / size))}${unit}`
}

/** How long ago, or how soon (`in 3m`), a moment is. */
export function distance(at: number | null, now: number): string | null {
  if (at === null) return null
  return at > now ? `in ${ageText(at - now) ?? ''}` : `${ageText(now - at) ?? ''} ago`
}

/** A moment as UTC to the second. */
export const moment = (at: number | null) =>
  at === null
    ? null
    : new Date(at)
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, '')

/** The same, and how far that is from `now`: `2026-01-31 12:00:00 UTC (3m ago)`. */
export const momentFrom = (at: number, now: number) => `${moment(at) ?? ''} UTC (${distance(at, now) ?? ''})`

/** `1,234`. */
export const numberText = (value: number) => value.toLocaleString('en-US')

/** `1 PDU`, `2 PDUs`; `many`: what more than one are called, where that is not `one` with an s. */
export const counted = (value: number, one: string, many = `${one}s`) =>
  `${numberText(value)} ${value === 1 ? one : many}`

/** What a list says below it. */
export const shownOf = (shown: number, total: number) => {
  const more = shown < total ? ' (--all shows all)' : ''
  return `${numberText(shown)} of ${numberText(total)}${more}`
}
