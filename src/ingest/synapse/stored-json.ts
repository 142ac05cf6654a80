/**
 * JSON that Synapse stored in a text column. It is parsed here, row by row, and never by a cast in SQL: one row that
 * is not valid JSON would make the statement fail, and with it every row of its window, for good.
 */
import { isJsonObject, type JsonObject } from '../../matrix/json-value.ts'
import { parseJson } from '../../matrix/strict-json.ts'

/** @throws JsonError or TypeError where `text` is not a JSON object; `what` names it */
export function objectIn(text: string | null, what: string): JsonObject {
  if (text === null) throw new TypeError(`there is no ${what}`)
  const value = parseJson(text)
  if (!isJsonObject(value)) throw new TypeError(`the ${what} is not a JSON object`)
  return value
}
