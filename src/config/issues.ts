/**
 * Says in one line what is wrong with a configuration: the key's path, what the value must be, and the variable if the
 * value came from the environment.
 */
import type { z } from 'zod'
import type { Tree } from './env.ts'
import { isTree } from './env.ts'
import { ConfigError } from './error.ts'
import { LATER, isSection } from './schema.ts'

type Issue = z.core.$ZodIssue

/** Refuses keys that a later release brings, and keys without a value. An empty section is fine. */
export function refuseEmptyAndLater(tree: Tree, path: readonly string[] = []): void {
  for (const [key, value] of Object.entries(tree)) {
    const at = [...path, key]
    const name = at.join('.')
    if (value !== undefined && LATER.has(name))
      throw new ConfigError(name, 'comes in a later release; leave it out')
    if (isTree(value)) refuseEmptyAndLater(value, at)
    if (value !== null) continue
    // A token by itself in the place of a map is taken for a name: it is not shown.
    if (path.length > 1 && path[0] === 'tokens')
      throw new ConfigError(
        path.join('.'),
        'has a name without a token; must be a token, or a map of names to tokens (NAME: token)',
      )
    if (!isSection(at)) throw new ConfigError(name, 'has no value; leave the key out to get the default')
    tree[key] = undefined
  }
}

/** The first thing that is wrong; how many more there are. */
export function explainIssues(
  error: z.ZodError,
  tree: Tree,
  variables: ReadonlyMap<string, string>,
): ConfigError {
  const issues = error.issues.flatMap(flatten)
  const [first] = issues
  if (first === undefined) return new ConfigError(null, 'is not valid')
  const path = first.path.map(String)
  // `listen` may be given without the list around it, and then its only one has no number.
  if (path[0] === 'listen' && !Array.isArray(tree['listen'])) path.splice(1, 1)
  const key = path.join('.')
  const variable = [...variables].find(([name]) => related(key, name))?.[1]
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : ''
  return new ConfigError(variable === undefined ? key : `${key} (${variable})`, `${first.what}${more}`)
}

/** The setting itself, one in the value that was given, or a section that the path names and that there is not. */
const related = (key: string, name: string): boolean =>
  key === name || key.startsWith(`${name}.`) || name.startsWith(`${key}.`)

interface Flat {
  path: PropertyKey[]
  what: string
}

function flatten(issue: Issue): Flat[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: [...issue.path, key], what: 'unknown setting' }))
  return [{ path: [...issue.path], what: describe(issue) }]
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section with keys of its own',
}

function describe(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.message.startsWith('must ')) return issue.message
      if (issue.input === undefined && issue.message.endsWith('undefined')) return 'is missing'
      return `must be ${KINDS[issue.expected] ?? issue.expected}`
    case 'too_big':
      return `must be at most ${String(issue.maximum)}`
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array'
        ? 'must not be empty'
        : `must be at least ${String(issue.minimum)}`
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`
    default:
      return issue.message
  }
}
