/**
 * Text that no name, id or token can be, and that PostgreSQL has no place for: refused before any route sees it.
 *
 * This is about what stands in a URL: bodies are JSON, and each route checks its own.
 */
import type { FastifyInstance } from 'fastify'
import { MatrixError } from './errors.ts'

/** NUL, and half a surrogate pair (with the flag u a whole pair is one character). */
const ODD = /[\0\p{Surrogate}]/u

/** Checked after the token: a caller without the right to ask learns nothing. */
export function refuseOddText(app: FastifyInstance): void {
  app.addHook('preParsing', (request, _reply, _payload, next) => {
    const name = oddIn(request.params) ?? oddIn(request.query)
    if (name === null) next()
    else next(new MatrixError(400, 'M_INVALID_PARAM', `${name} has a character that no name or id has`))
  })
}

/** The name of the first parameter that has one; `a parameter` where its own name has one. */
function oddIn(parameters: unknown): string | null {
  for (const [name, value] of Object.entries((parameters ?? {}) as Record<string, unknown>)) {
    if (ODD.test(name)) return 'a parameter'
    for (const one of [value].flat()) if (typeof one === 'string' && ODD.test(one)) return name.slice(0, 100)
  }
  return null
}
