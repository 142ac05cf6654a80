/** The reference has every error code that the source answers with, and no other. */
import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ERROR_CODES } from '../../src/api/error-codes.ts'
import { OPERATIONS } from '../../src/api/openapi.ts'
import { refusalsOf } from '../../src/api/operation.ts'

const SRC = fileURLToPath(new URL('../../src', import.meta.url))
/** What answers over HTTP, and what says how. */
const ROOMS = ['http', 'ingest']

function answered(): Set<string> {
  const texts = ROOMS.flatMap((room) =>
    readdirSync(join(SRC, room), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(SRC, room, name), 'utf8')),
  )
  return new Set(texts.flatMap((text) => [...text.matchAll(/'(M_[A-Z_]+)'/g)].map(([, code = '']) => code)))
}

describe('the reference has every error code', () => {
  it('that the source answers with, and no other', () => {
    expect([...answered()].sort()).to.deep.equal(Object.keys(ERROR_CODES).sort())
  })

  it('with its statuses', () => {
    for (const operation of OPERATIONS)
      for (const [status, errcode, when] of refusalsOf(operation)) {
        expect(ERROR_CODES[errcode].statuses, `${operation.path} ${errcode}`).to.include(status)
        expect(when, `${operation.path} ${errcode}`).not.to.equal('')
      }
  })
})
