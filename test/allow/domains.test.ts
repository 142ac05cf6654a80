import { expect } from 'chai'
import fc from 'fast-check'
import { parseDomainGlob } from '../../src/allow/domain-glob.ts'
import { makeVetDomain } from '../../src/allow/domains.ts'
import { name } from '../wire/setting.ts'

describe('which names may be sent to', () => {
  const denied = (denylist: readonly string[]) => makeVetDomain({ allowlist: null, denylist })

  const cases: [glob: string, has: readonly string[], hasNot: readonly string[]][] = [
    [
      'b.example',
      ['b.example', 'B.Example', 'b.example:8448', 'b.EXAMPLE:1'],
      ['a.b.example', 'bb.example', 'b.example2'],
    ],
    [
      '*.example.org',
      ['a.example.org', 'a.b.example.org', 'A.EXAMPLE.ORG:443'],
      ['example.org', 'a.example.organic', 'aexample.org'],
    ],
    ['*example.org', ['example.org', 'a.example.org', 'bad-example.org'], ['example.org.uk']],
    ['*', ['b.example', '192.0.2.1', '[2001:db8::1]:8448', 'b.example:1'], []],
    ['b?.example', ['b1.example', 'bb.example'], ['b.example', 'b12.example']],
    ['*.*.example', ['a.b.example', 'a.b.c.example'], ['b.example']],
    ['B.EXAMPLE:8448', ['b.example:8448'], ['b.example', 'b.example:443', 'b.example:844']],
    ['192.0.2.*', ['192.0.2.1', '192.0.2.1:8448'], ['192.0.3.1', '1.192.0.2']],
    ['192.0.2.1', ['192.0.2.1', '192.0.2.1:1'], ['192.0.2.10']],
    [
      '[2001:db8::1]',
      ['[2001:db8::1]', '[2001:DB8:0::0:1]:8448', '[2001:db8::0.0.0.1]'],
      ['[2001:db8::2]', 'b.example'],
    ],
    ['2001:db8::1', ['[2001:0db8::1]'], ['[2001:db8::2]']],
    ['[2001:db8::1]:8448', ['[2001:0db8::1]:8448'], ['[2001:db8::1]', '[2001:db8::1]:1']],
    ['a.c', ['a.c'], ['abc']],
  ]
  for (const [glob, has, hasNot] of cases) {
    it(`${glob}: ${has.join(', ')}`, () => {
      for (const one of has)
        expect(denied([glob])(name(one)), one).to.equal(`${glob} is in federation.domain_denylist`)
      for (const one of hasNot) expect(denied([glob])(name(one)), one).to.equal(null)
    })
  }

  it('without lists every name; with an empty allow list none', () => {
    expect(denied([])(name('b.example'))).to.equal(null)
    const none = makeVetDomain({ allowlist: [], denylist: [] })
    expect(none(name('b.example'))).to.equal('it is not in federation.domain_allowlist')
  })

  it('of those on the allow list, not those on the deny list', () => {
    const vet = makeVetDomain({
      allowlist: ['*.example', '192.0.2.1'],
      denylist: ['bad.example', '*.bad.example'],
    })
    for (const one of ['a.example', 'a.b.example:1', '192.0.2.1', 'notbad.example'])
      expect(vet(name(one))).to.equal(null)
    for (const one of ['bad.example', 'a.bad.example', 'A.BAD.EXAMPLE:8448'])
      expect(vet(name(one)), one).to.include('in federation.domain_denylist')
    for (const one of ['example', 'a.example.org', '192.0.2.2', '[::1]'])
      expect(vet(name(one)), one).to.equal('it is not in federation.domain_allowlist')
  })

  for (const text of [
    ...[
      '',
      'b.example.',
      'https://b.example',
      'b.example/',
      'b example',
      'bücher.example',
      'b.example:0',
      'b.example:65536',
    ],
    ...[
      'b.example:',
      'b.example:*',
      '10.0.0.0/8',
      '[b.example]',
      '[::1',
      '[::1%lo]',
      '[2001:db8::*]',
      '[::1]x',
      ':8448',
    ],
  ])
    it(`says what is wrong with ${JSON.stringify(text)}`, () => {
      expect(() => denied([text])).to.throw(
        TypeError,
        /^federation\.domain_denylist: ".*" is not a host name, or a glob/,
      )
      expect(() => makeVetDomain({ allowlist: [text], denylist: [] })).to.throw(
        /^federation\.domain_allowlist: /,
      )
    })

  it('agrees with regular expressions, whatever the glob', () => {
    const text = (letters: string) =>
      fc.array(fc.constantFrom(...letters.split(',')), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(text('a,b,.,*,?'), text('a,b,.'), (pattern, letters) => {
        const glob = pattern.join('').replace(/\.$/, 'a')
        const source = glob.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')
        const host = letters.join('')
        expect(parseDomainGlob(glob).has(host, null), `${glob} ${host}`).to.equal(
          new RegExp(`^${source}$`).test(host),
        )
      }),
      { numRuns: 2000 },
    )
  })

  it('takes no time for a glob that is made to take long', () => {
    const glob = parseDomainGlob(`${'*a'.repeat(100)}*b`)
    const started = process.cpuUsage().user
    expect(glob.has('a'.repeat(230), null)).to.equal(false)
    expect(process.cpuUsage().user - started).to.be.below(1_000_000)
  })
})
