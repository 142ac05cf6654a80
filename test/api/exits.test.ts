import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { exitStatusOf } from '../../src/cli/cli-error.ts'
import { EXITS } from './exits.ts'

describe('docs/errors.md has every exit status', () => {
  it('as the command line has it', () => {
    for (const { status, errors, when } of EXITS)
      for (const error of errors) expect(exitStatusOf(error), when).to.equal(status)
  })

  it('of every kind of error that it tells from others', () => {
    const source = readFileSync(new URL('../../src/cli/cli-error.ts', import.meta.url), 'utf8')
    const [, body = ''] = /export function exitStatusOf\(([\s\S]*?)\n\}/.exec(source) ?? []
    const told = new Set([...body.matchAll(/instanceof (\w+)/g)].map(([, name]) => name))
    const described = new Set(EXITS.flatMap(({ errors }) => errors.map((error) => error.constructor.name)))
    expect(told.size).to.be.above(5)
    for (const name of told) expect(described, `${name ?? ''}: no row in test/api/exits.ts`).to.include(name)
  })
})
