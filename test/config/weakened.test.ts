import { expect } from 'chai'
import { weakenedBy } from '../../src/config/weakened.ts'

describe('what in the environment weakens what limpet promises', () => {
  const weak: [string, Record<string, string>, string[], RegExp][] = [
    ['certificates', { NODE_TLS_REJECT_UNAUTHORIZED: '0' }, [], /^NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored/],
    ['PostgreSQL', { PGSSLMODE: 'no-verify' }, [], /^PGSSLMODE=no-verify: /],
    ['authorities', { NODE_EXTRA_CA_CERTS: '/x.pem' }, [], /federation\.custom_ca_paths/],
    ['keys of TLS', { NODE_OPTIONS: '--no-warnings --tls-keylog=/tmp/k' }, [], /^--tls-keylog: the keys/],
    ['old TLS', {}, ['--tls-min-v1.0'], /^--tls-min-v1\.0: /],
    ['ciphers', { NODE_OPTIONS: '--tls-cipher-list=ALL' }, [], /^--tls-cipher-list: /],
    ['a debugger', {}, ['--inspect=0.0.0.0:9229'], /^--inspect: a debugger is listening/],
    ['lenient HTTP', {}, ['--insecure-http-parser'], /^--insecure-http-parser: /],
  ]
  for (const [what, env, args, line] of weak) {
    it(what, () => {
      const [first = '', ...more] = weakenedBy(env, args)
      expect(first).to.match(line)
      expect(more).to.deep.equal([])
    })
  }

  it('nothing, where nothing does', () => {
    const env = {
      NODE_TLS_REJECT_UNAUTHORIZED: '1',
      NODE_OPTIONS: '--max-old-space-size=100',
      PGSSLMODE: 'require',
    }
    expect(weakenedBy(env, ['--import', 'tsx'])).to.deep.equal([])
    expect(weakenedBy({}, [])).to.deep.equal([])
  })
})
