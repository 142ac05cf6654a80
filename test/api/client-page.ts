/** `docs/client.md`: the methods of `limpet/client`, each with the call that it makes. */
import { OPERATIONS } from '../../src/api/openapi.ts'
import { makeAdmin, makeProducer } from '../../src/client/client.ts'
import { asPage, table, WRITTEN_BY } from './markdown.ts'

const HEAD = `# The client for Node.js

\`limpet/client\` is part of the package: both APIs, typed, on Node's \`fetch\` alone. [The example](../examples/homeserver.mts) uses it from the first item to the last; how to
install it stands in [let limpet send](guides/integrate.md#try-it-without-a-federation).

${WRITTEN_BY}

Each method makes one call and resolves to its answer, as [the HTTP API](api.md) has it. What limpet refuses is thrown as \`LimpetError\`: \`status\` (0: no whole answer came, so nobody
knows whether it was done), \`errcode\` and the whole \`answer\` ([errors](errors.md) says what to do).

Both take \`url\` and \`token\`, and if wanted \`fetch\` (one of your own reaches a Unix socket, for example) and \`timeoutMs\` (60,000).

## makeProducer

For the homeserver's side, with an ingest token. \`source\` is the name of its stream (\`default\`).

- \`ingest(items, {tokens: {from, to}})\` resolves once the items are taken, exactly once, however many answers are lost: it repeats the same request, and knows the answer that it
  missed by the stored token. Then it resolves to \`{kind: 'before'}\`, else to \`{kind: 'taken', …}\` with what the API answers. It goes on until limpet takes or refuses them; an \`AbortSignal\` in
  \`signal\` ends it.
- \`onRetry(why, waitMs)\`, an option of \`makeProducer\`, is told before each wait: to log it, or to see that limpet is away.
- \`waitMs(failures)\` and \`wait(ms, signal)\`, likewise, put other waits in the place of the usual ones (100 ms, doubling to 10 s).
- \`digestOf(servers)\` is what \`rooms\` and \`room\` have as \`digest\`.
`

const ADMIN = `## makeAdmin

For looking, with a read or an admin token, and for acting, with an admin token. Lists take \`{from, limit, order_by, dir}\`.
`

export const clientPage = (): Promise<string> => {
  const options = { url: 'http://localhost', token: '' }
  return asPage([HEAD, methodsOf(makeProducer(options)), ADMIN, methodsOf(makeAdmin(options))])
}

function methodsOf(client: object): string {
  const rows = Object.entries(client).map(([name, method]) => {
    const call = OPERATIONS.find((one) => one.name === name)
    if (call === undefined) throw new Error(`${name} makes no call of the API`)
    return [
      `\`${name}(${parametersOf(method as () => unknown)})\``,
      `\`${call.method} ${call.path}\``,
      call.about,
    ]
  })
  return table(['Method', 'Call', 'What it does'], rows)
}

/** Their names as the code has them; `?`: may be left out. The loader leaves out spaces, and brackets around a single one. */
function parametersOf(method: () => unknown): string {
  const text = method.toString()
  const [, only] = /^(\w+)\s*=>/.exec(text) ?? []
  if (only !== undefined) return only
  let depth = 0
  const from = text.indexOf('(') + 1
  let to = from
  while (depth > 0 || text[to] !== ')') {
    if ('({'.includes(text[to] ?? '')) depth += 1
    if (')}'.includes(text[to] ?? '')) depth -= 1
    to += 1
  }
  return text
    .slice(from, to)
    .replaceAll(/\s*=\s*(\{\}|false)/g, '?')
    .replaceAll(/\s*([{}])\s*/g, '$1')
    .replaceAll(/\s*,\s*/g, ', ')
}
