/**
 * `GET /openapi.json`, and `GET /docs`, the same for people. Both say nothing about this installation, so that neither asks for a token.
 *
 * What is served is `docs/openapi.json` as it was when the process started; a test holds it against the shapes and operations (`src/api/`), and every
 * answer of the daemon against those. So the daemon itself needs none of them.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import { referencePage, STYLE, type ApiDocument } from './reference-page.ts'

/** From `src/` and from `dist/src/` alike; a build that joins files keeps them in a folder of `src`. */
const FILE = new URL('../../docs/openapi.json', import.meta.url)

/** No script, nothing from elsewhere, in no frame; the one style is known by its hash. */
const POLICY = [
  `default-src 'none'`,
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  ...[`base-uri 'none'`, `form-action 'none'`, `frame-ancestors 'none'`],
].join('; ')

export function registerReferenceRoutes(app: FastifyInstance): void {
  const text = readFileSync(FILE, 'utf8')
  let page: string | undefined
  app.get('/openapi.json', (_request, reply) => reply.type('application/json').send(text))
  app.get('/docs', (_request, reply) => {
    // Made when it is first asked for: most processes are never asked.
    page ??= referencePage(JSON.parse(text) as ApiDocument)
    return reply
      .headers({
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      })
      .type('text/html; charset=utf-8')
      .send(page)
  })
}
