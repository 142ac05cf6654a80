/**
 * How does a receiver that parses a number and writes it again spell it?
 *
 * Synapse checks a transaction's signature over its own encoding of the parsed body (X-Matrix signs the `content`,
 * server-server API "Request Authentication"). So one number whose spelling changes on the way makes the whole
 * transaction a 401. Within canonical JSON nothing changes, but room versions 1 to 5 may contain other numbers. The
 * spelling is that of Python's `json`: integers digit by digit, the rest as the shortest text of the same double.
 */
import { isJsonObject, isOddNumber, textOfOddNumber } from './json-value.ts'
import type { JsonValue } from './json-value.ts'

// Python refuses to read longer ones ("integer string conversion length limitation"), and with it the whole body.
const LONGEST_INTEGER = 4300
/** Python writes doubles with an exponent from 1e16 on, and below 1e-4. */
const [FIRST_WITHOUT_POINT, FIRST_SMALL] = [16, -4]

/** Dotted path of the first number within `value` that would be written otherwise, or null. */
export function findRespelled(value: JsonValue): string | null {
  const path: (string | number)[] = []
  return search(value, path) ? path.join('.') : null
}

/** True where it found one; `path` then leads there. */
function search(value: JsonValue, path: (string | number)[]): boolean {
  if (isOddNumber(value)) return respelled(textOfOddNumber(value)) !== textOfOddNumber(value)
  const members = Array.isArray(value) ? value.entries() : isJsonObject(value) ? Object.entries(value) : []
  for (const [key, member] of members) {
    path.push(key)
    if (search(member, path)) return true
    path.pop()
  }
  return false
}

/** The number in `text` (as JSON spells numbers) written again; null where reading or writing it is an error. */
export function respelled(text: string): string | null {
  if (/^-?[0-9]+$/.test(text)) {
    if (text.replace('-', '').length > LONGEST_INTEGER) return null
    return text === '-0' ? '0' : text
  }
  const double = Number(text)
  return Number.isFinite(double) ? spellDouble(double) : null
}

function spellDouble(double: number): string {
  const sign = double < 0 || Object.is(double, -0) ? '-' : ''
  // JavaScript finds the same shortest digits; only where they stand around the point differs.
  const [mantissa = '', exponentText = ''] = Math.abs(double).toExponential().split('e')
  const digits = mantissa.replace('.', '')
  const exponent = Number(exponentText)
  if (exponent >= FIRST_WITHOUT_POINT || exponent < FIRST_SMALL) {
    const size = String(Math.abs(exponent)).padStart(2, '0')
    return `${sign}${mantissa}e${exponent < 0 ? '-' : '+'}${size}`
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`
}
