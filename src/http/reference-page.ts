/**
 * The API's document as one HTML page to read: an index, each call, each shape. Pure. There is no script in it, and nothing that is fetched.
 *
 * Always: every text of the document is escaped, with `…` in it as code.
 */

export interface ApiDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly tags: readonly { readonly name: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedCall>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>
    readonly securitySchemes: Readonly<Record<string, { readonly description: string }>>
  }
}

interface DocumentedCall {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description?: string
  readonly security: readonly Readonly<Record<string, unknown>>[]
  readonly parameters?: readonly {
    readonly name: string
    readonly in: string
    readonly required: boolean
    readonly description?: string
    readonly schema: JsonSchema
  }[]
  readonly requestBody?: { readonly required: boolean; readonly content: Content }
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content: Content }>>
}

type Content = Readonly<Record<string, { readonly schema: JsonSchema }>>

export interface JsonSchema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
  readonly allOf?: readonly JsonSchema[]
  readonly minimum?: number
  readonly maximum?: number
  readonly maxLength?: number
  readonly maxItems?: number
  readonly pattern?: string
}

export const STYLE = `
:root { color-scheme: light dark; --line: #8886; --dim: #777; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
h2 { border-bottom: 1px solid var(--line); margin-top: 3rem; }
h3 { margin: 2rem 0 0.25rem; }
table { border-collapse: collapse; margin: 0.5rem 0; width: 100%; }
th, td { border: 1px solid var(--line); padding: 0.25rem 0.5rem; text-align: left; vertical-align: top; }
td p, li p { margin: 0; }
.dim { color: var(--dim); }
nav ul { columns: 2; padding-left: 1rem; }
`

export function referencePage(api: ApiDocument): string {
  const { info, tags, paths, components } = api
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, call]) => ({ method: method.toUpperCase(), path, call })),
  )
  const groups = tags.map(({ name }) => ({
    name,
    calls: calls.filter(({ call }) => call.tags.includes(name)),
  }))
  const index = groups.map(
    (group) =>
      `<p>${text(group.name)}</p><ul>${group.calls.map(({ method, path, call }) => `<li>${link(call.operationId, `${method} ${path}`)}</li>`).join('')}</ul>`,
  )
  const tokens = Object.entries(components.securitySchemes).map(
    ([kind, { description }]) => `<li>${code(kind)}: ${text(description)}</li>`,
  )
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">`,
    `<title>${escaped(info.title)}: API</title><style>${STYLE}</style></head><body>`,
    `<h1>${escaped(info.title)}: API, version ${escaped(info.version)}</h1>${paragraphs(info.description)}`,
    `<p>For programs: <a href="openapi.json">openapi.json</a>. Tokens are sent as ${code('Authorization: Bearer TOKEN')}:</p><ul>${tokens.join('')}</ul>`,
    `<nav>${index.join('')}</nav>`,
    ...groups.map((group) => `<h2>${text(group.name)}</h2>${group.calls.map(callOf).join('')}`),
    `<h2>Shapes</h2>`,
    ...Object.entries(components.schemas).map(([name, schema]) => shapeOf(name, schema)),
    `</body></html>`,
  ].join('\n')
}

function callOf({ method, path, call }: { method: string; path: string; call: DocumentedCall }): string {
  const { parameters = [], requestBody, responses } = call
  const rows = parameters.map(({ name, in: where, required, description = '', schema }) => [
    code(name),
    `${where}${required ? '' : ', optional'}`,
    typeOf(schema),
    text(description),
  ])
  const bodies = Object.entries(requestBody?.content ?? {}).map(
    ([type, { schema }]) => `${code(type)}: ${typeOf(schema)}`,
  )
  const answers = Object.entries(responses).map(([status, { description, content }]) => [
    escaped(status),
    lines(description),
    Object.entries(content)
      .map(([type, { schema }]) => (type === 'application/json' ? typeOf(schema) : code(type)))
      .join(', '),
  ])
  return [
    `<h3 id="${escaped(call.operationId)}">${code(`${method} ${path}`)}</h3>`,
    `<p>${text(call.summary)} <span class="dim">${askedBy(call)}</span></p>`,
    call.description === undefined ? '' : paragraphs(call.description),
    rows.length === 0 ? '' : table(['Parameter', 'In', 'Type', ''], rows),
    bodies.length === 0
      ? ''
      : `<p>Body${requestBody?.required === true ? '' : ' (optional)'}: ${bodies.join('; ')}</p>`,
    table(['Status', '', 'Body'], answers),
  ].join('\n')
}

function askedBy({ security }: DocumentedCall): string {
  if (security.length === 0) return 'No token.'
  const kinds = security.flatMap((one) => Object.keys(one))
  return `Token: ${kinds.join(' or ')}${kinds.length < security.length ? ', if one is set' : ''}.`
}

function shapeOf(name: string, schema: JsonSchema): string {
  const { description = '', properties, required = [] } = schema
  const rows = Object.entries(properties ?? {}).flatMap(([field, of]) =>
    fieldRows(field, of, required.includes(field)),
  )
  return [
    `<h3 id="${escaped(name)}">${escaped(name)}</h3>`,
    description === '' ? '' : `<p>${text(description)}</p>`,
    rows.length > 0
      ? table(['Field', 'Type', ''], rows)
      : `<p>${properties === undefined ? typeOf(schema) : 'No fields.'}</p>`,
  ].join('\n')
}

/** A field, and the fields of what is in it. */
function fieldRows(field: string, schema: JsonSchema, isRequired: boolean): string[][] {
  const optional = isRequired ? '' : ', optional'
  const inner = [schema, ...(schema.anyOf ?? [])]
    .map((one) => one.items ?? one)
    .find((one) => one.properties !== undefined)
  const within = Object.entries(inner?.properties ?? {}).flatMap(([name, of]) =>
    fieldRows(`${field}.${name}`, of, inner?.required?.includes(name) ?? false),
  )
  return [[code(field), `${typeOf(schema)}${optional}`, text(schema.description ?? '')], ...within]
}

/** In HTML. */
function typeOf(schema: JsonSchema): string {
  const { $ref, type, items } = schema
  if ($ref !== undefined) return link($ref.replace('#/components/schemas/', ''))
  const several = schema.anyOf ?? schema.oneOf
  if (several !== undefined) return several.map(typeOf).join(' or ')
  // An error, and which codes it may have: those are told beside it.
  if (schema.allOf?.[0] !== undefined) return typeOf(schema.allOf[0])
  if (schema.const !== undefined) return code(JSON.stringify(schema.const))
  if (schema.enum !== undefined) return schema.enum.map((one) => code(String(one))).join(', ')
  if (items !== undefined) return `list of ${typeOf(items)}`
  return escaped([type].flat().join(' or ') || 'anything') + limitsOf(schema)
}

function limitsOf({ minimum, maximum, maxLength }: JsonSchema): string {
  if (maximum !== undefined) return `, ${minimum ?? ''} to ${maximum}`
  if (minimum !== undefined && minimum !== 0) return `, at least ${minimum}`
  return maxLength === undefined ? '' : `, at most ${maxLength} characters`
}

const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string =>
  `<table><tr>${heads.map((head) => `<th>${head}</th>`).join('')}</tr>${rows
    .map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('')}</tr>`)
    .join('')}</table>`

const link = (to: string, label = to): string => `<a href="#${escaped(to)}">${escaped(label)}</a>`
const code = (of: string): string => `<code>${escaped(of)}</code>`
const lines = (of: string): string =>
  of
    .split('\n')
    .map((line) => `<p>${text(line)}</p>`)
    .join('')
const paragraphs = (of: string): string =>
  of
    .split('\n\n')
    .map((one) => `<p>${text(one)}</p>`)
    .join('')
/** With what stands between two ` as code. */
const text = (of: string): string => escaped(of).replace(/`([^`]+)`/g, '<code>$1</code>')

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escaped = (of: string): string => of.replace(/[&<>"']/g, (one) => ENTITIES[one] ?? one)
