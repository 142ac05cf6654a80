/**
 * The text of an array that is a parameter. `pg` makes it too, by two replacements for each element: for a statement with an array for
 * each of its columns that took twice as long as all else that is done to send it.
 *
 * Always: the text means what that of `pg` means. What is not made of numbers, texts, truth values and nulls is left to it.
 */

const ODD = /[\\"]/
const ALL_ODD = /[\\"]/g

/** `value` itself, or the text of it where it is an array. */
export function withArrayText(value: unknown): unknown {
  return Array.isArray(value) ? (textOf(value) ?? value) : value
}

/** Null: it holds something else. */
function textOf(elements: readonly unknown[]): string | null {
  // Half of the columns of a freeze have nothing in most rows.
  if (elements.length > 0 && elements.every(isNull)) return `{NULL${',NULL'.repeat(elements.length - 1)}}`
  let text = '{'
  for (let i = 0; i < elements.length; i += 1) {
    const element = elements[i]
    if (i > 0) text += ','
    if (isNull(element)) text += 'NULL'
    else if (typeof element === 'string') text += quoted(element)
    else if (typeof element === 'number' || typeof element === 'boolean') text += String(element)
    else return null
  }
  return `${text}}`
}

const isNull = (element: unknown): boolean => element === null || element === undefined

const quoted = (text: string): string => `"${ODD.test(text) ? text.replace(ALL_ODD, '\\$&') : text}"`
