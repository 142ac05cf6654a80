/** JSON bodies of the admin API, parsed at the door. A field that is not known is refused by its name: a slip in `dry_run` must not do it. */
import { badParam } from './refusal.ts'

type Fields = Readonly<Record<string, unknown>>

/** The fields of a body; none where there is no body. */
export function fieldsOf(body: unknown, known: readonly string[]): Fields {
  if (body === undefined || body === null) return {}
  if (typeof body !== 'object' || Array.isArray(body)) throw badParam('the body must be a JSON object')
  const odd = Object.keys(body).find((key) => !known.includes(key))
  if (odd !== undefined) throw badParam(`unknown field ${odd.slice(0, 60)}: there are ${known.join(', ')}`)
  return body as Fields
}

/** A field that is true or false; false where it is absent. */
export function flagOf(fields: Fields, name: string): boolean {
  const value = fields[name] ?? false
  if (typeof value !== 'boolean') throw badParam(`${name} must be true or false`)
  return value
}

/** A field that must be there and be one of `choices`. */
export function oneOfField<Choice extends string>(
  fields: Fields,
  name: string,
  choices: readonly Choice[],
): Choice {
  const choice = choices.find((one) => one === fields[name])
  if (choice === undefined) throw badParam(`${name} must be one of ${choices.join(', ')}`)
  return choice
}

/** A field that must be there and be text. */
export function textField(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string' || value === '') throw badParam(`${name} is missing, or is no text`)
  return value
}
