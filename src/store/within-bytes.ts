/**
 * How much text may a read bring? Rows come in their order as before, but only as many of their texts as fit into a number of bytes
 * together; the first always has its own. The rest have null: that they are there is known, and their texts were not read.
 *
 * Always: what is returned is the beginning of what was found, and `all` only where nothing was left out. The length of a text is
 * asked without reading the text (it stands where PostgreSQL keeps where the text is).
 */

/** A column of rows in the order of `pos`; `bytes`: an expression, such as `$5`. Commas between texts count. */
export const textWithin = (bytes: string, table: string, column: 'pdu' | 'content' = 'pdu'): string => {
  const text = `${table}.${column}`
  const length = `octet_length(${text}) + 1`
  const upTo = `sum(${length}) over (order by ${table}.pos)`
  return `case when ${upTo} <= ${bytes} or ${upTo} = ${length} then ${text} end`
}

/** How much may be read: rows, and bytes of their texts. */
export interface Most {
  rows: number
  bytes: number
}

/** What was found, as far as it fitted; `all`: that is all there is. */
export interface Found<T> {
  pdus: T[]
  all: boolean
}

/** Rows of a statement with `textWithin`, of which no more than `most.rows` were asked for. */
export function foundIn<R extends { pdu: string | null }, T>(
  rows: readonly R[],
  most: Most,
  from: (row: R & { pdu: string }) => T,
): Found<T> {
  const cut = rows.findIndex(({ pdu }) => pdu === null)
  const read = (cut < 0 ? rows : rows.slice(0, cut)) as readonly (R & { pdu: string })[]
  return { pdus: read.map(from), all: cut < 0 && rows.length < most.rows }
}
