import { expect } from 'chai'
import fc from 'fast-check'
import { makeVetBlocks, type Block } from '../../src/allow/blocks.ts'
import { parseDomainGlob } from '../../src/allow/domain-glob.ts'
import { splitServerName, type ServerName } from '../../src/matrix/ids.ts'

const AT = Date.UTC(2030, 0, 2, 3, 4, 5, 678)
const blockOf = (glob: string, more: Partial<Block> = {}): Block => ({
  ...{ glob, reason: null, by: 'alice', at: AT },
  ...more,
})
const vetOf = (...globs: string[]) => makeVetBlocks(globs.map((glob) => blockOf(glob)))

describe("the operator's blocks", () => {
  for (const [glob, named, others] of [
    ['example.org', ['example.org', 'EXAMPLE.org', 'example.org:8448'], ['a.example.org', 'example.or']],
    ['*.example.org', ['a.example.org', 'A.b.Example.ORG:443'], ['example.org', 'aexample.org']],
    ['*example.org', ['example.org', 'aexample.org', 'a.example.org'], ['example.org.uk']],
    ['example.org:8448', ['example.org:8448'], ['example.org', 'example.org:443']],
    ['*.example.org:443', ['a.example.org:443'], ['a.example.org']],
    ['m?.example', ['m1.example:1'], ['m.example', 'm12.example']],
    ['192.0.2.7', ['192.0.2.7', '192.0.2.7:8448'], ['192.0.2.70']],
    ['*.2.7', ['192.0.2.7'], ['192.0.2.77']],
    ['[2001:db8::1]', ['[2001:db8:0::1]', '[2001:DB8::1]:8448'], ['[2001:db8::2]']],
    ['*', ['example.org', '192.0.2.7', '[2001:db8::1]:1'], []],
  ] as const)
    it(`${glob} names ${named.join(', ')}, and not ${others.join(', ')}`, () => {
      const vet = vetOf(glob)
      for (const name of named) expect(vet(name as ServerName), name).to.match(/ is blocked by alice since /)
      for (const name of others) expect(vet(name as ServerName), name).to.equal(null)
    })

  it('say which, by whom, since when, and why', () => {
    const vet = makeVetBlocks([
      blockOf('*.example', { reason: 'spam\nand more' }),
      blockOf('a.example', { by: 'bob' }),
    ])
    expect(vet('b.example' as ServerName)).to.equal(
      '*.example is blocked by alice since 2030-01-02T03:04:05Z: spam and more',
    )
    expect(vet('a.example' as ServerName)).to.equal('a.example is blocked by bob since 2030-01-02T03:04:05Z')
    expect(vetOf()('a.example' as ServerName)).to.equal(null)
  })

  it('name the same as their globs do one by one', () => {
    const label = fc.constantFrom('a', 'b', 'ab', 'example')
    const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
    const port = fc.constantFrom('', '', ':1', ':2')
    const glob = fc
      .tuple(fc.constantFrom('', '*.', '*', '?', '*.*.'), host, port)
      .map((parts) => parts.join(''))
    const name = fc.tuple(host, port).map((parts) => parts.join('') as ServerName)
    fc.assert(
      fc.property(fc.array(glob, { maxLength: 4 }), name, (globs, one) => {
        const { host: text, port: number } = splitServerName(one)
        const right = globs.some((each) => parseDomainGlob(each).has(text, number))
        return (vetOf(...globs)(one) !== null) === right
      }),
      { numRuns: 2_000 },
    )
  })
})
