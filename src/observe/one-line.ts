/** What others sent us, made fit to print and to store. */
/** Signs that are looked at, beside those that may be kept. */
const LONGEST_LOOK = 4096

/**
 * `text` on one line, at most `most` characters, without what steers terminals, logs or the direction of writing, without
 * NUL and half characters, which PostgreSQL refuses: what others sent us, made fit to print and to store.
 */
export function oneLine(text: string, most: number): string {
  // What is cut off could be megabytes; what stands before it is more than enough, also where much of it is left out.
  const printable = text
    .slice(0, LONGEST_LOOK + most)
    .replace(/[\p{C}\p{Z}]+/gu, ' ')
    .trim()
  return printable.length <= most
    ? printable
    : `${printable.slice(0, most - 1).replace(/[\uD800-\uDBFF]$/, '')}…`
}
