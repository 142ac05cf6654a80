/**
 * Refuses, before any route sees it, text in a URL that no name, id or token can contain and that PostgreSQL can't
 * store. Bodies are checked by the code that parses them.
 */
import type { FastifyInstance } from 'fastify'
import { MatrixError } from './errors.ts'

/** NUL, and half a surrogate pair (with the flag u a whole pair is one character). */
const ODD = /[\0\p{Surrogate}]/u

/** Asked when it is known who asks: those who may not ask learn nothing. */
export function refuseOddText(app: FastifyInstance): void {
  app.addHook('preParsing', (request, _reply, _payload, next) => {
    const name = oddIn(request.params) ?? oddIn(request.query)
    if (name === null) next()
    else
      next(
        new MatrixError(
          400,
          'M_INVALID_PARAM',
          `${name} contains a character that no name or id may contain`,
        ),
      )
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
