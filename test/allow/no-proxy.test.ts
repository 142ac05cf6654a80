import { expect } from 'chai'
import { makeProxyFor } from '../../src/allow/no-proxy.ts'
import { parseProxy } from '../../src/allow/proxy-url.ts'

const proxy = parseProxy('http://proxy.example:3128')

describe('what is reached through the proxy', () => {
  const isDirect = (noProxy: readonly string[], host: string, port = 8448) => {
    const chosen = makeProxyFor(proxy, noProxy)(host, port)
    expect(chosen === null || chosen === proxy).to.equal(true)
    return chosen === null
  }

  type Place = string | [string, number]
  const cases: [entry: string, direct: readonly Place[], through: readonly Place[]][] = [
    [
      'b.example',
      ['b.example', 'B.EXAMPLE', 'a.b.example', ['b.example', 443]],
      ['bb.example', 'example', 'b.example.org'],
    ],
    ['.b.example', ['b.example', 'a.b.example', 'x.A.B.example'], ['bb.example', 'b.example.org']],
    ['*.b.example', ['a.b.example', 'x.a.b.example'], ['b.example', 'bb.example']],
    ['B.Example', ['b.example', 'a.b.EXAMPLE'], ['c.example']],
    ['localhost', ['localhost', 'a.localhost'], ['127.0.0.1']],
    [
      'b.example:443',
      [
        ['b.example', 443],
        ['a.b.example', 443],
      ],
      ['b.example', ['b.example', 4430]],
    ],
    ['.b.example:443', [['a.b.example', 443]], ['a.b.example']],
    [
      '10.0.0.0/8',
      ['10.1.2.3', ['10.255.0.1', 1], '::ffff:10.1.2.3'],
      ['11.0.0.1', '10.example', 'b.example', '::1', '64:ff9b::a00:1'],
    ],
    ['10.0.0.0/8:443', [['10.1.2.3', 443]], ['10.1.2.3']],
    ['192.0.2.1', ['192.0.2.1'], ['192.0.2.10', '1.192.0.2.1']],
    ['192.0.2.1:8448', ['192.0.2.1'], [['192.0.2.1', 443]]],
    ['2001:db8::/32', ['2001:db8::1', '2001:DB8:1:0::2'], ['2001:db9::1', '192.0.2.1']],
    ['[2001:db8::/32]:443', [['2001:db8::1', 443]], ['2001:db8::1']],
    ['::1', ['::1', '0:0:0:0:0:0:0:1', '::0.0.0.1'], ['::2', '127.0.0.1']],
    ['[::1]', ['::1'], ['::2']],
    ['[::1]:443', [['0::1', 443]], ['::1']],
    ['*', ['b.example', '192.0.2.1', '::1', ['x', 1]], []],
  ]
  for (const [entry, direct, through] of cases) {
    it(`with ${entry} in no_proxy`, () => {
      const all = [...direct, ...through].map(
        (place) => (typeof place === 'string' ? [place] : place) as [string, number?],
      )
      const found = all.filter(([host, port]) => isDirect([entry], host, port))
      expect(found).to.deep.equal(all.slice(0, direct.length))
      expect(
        all.filter(([host, port]) => isDirect(['c.invalid', entry, '192.0.2.77'], host, port)),
      ).to.deep.equal(found)
    })
  }

  it('everything without no_proxy, and nothing without a proxy', () => {
    for (const host of ['b.example', 'localhost', '127.0.0.1', '::1']) {
      expect(isDirect([], host)).to.equal(false)
      expect(makeProxyFor(null, [])(host, 1)).to.equal(null)
    }
  })

  for (const text of [
    ...[
      '',
      ' ',
      'a, b',
      'a b',
      'http://b.example',
      'b.example/x',
      '10.0.0.0/33',
      '127.1',
      '10.0.0',
      '[b.example]',
      '[::1',
    ],
    ...[
      'b.example:0',
      'b.example:65536',
      'b.example:x',
      '*.*.example',
      'b.*',
      '::1%lo',
      'bücher.example',
      '.',
      '..b.example',
    ],
  ])
    it(`says what is wrong with ${JSON.stringify(text)}`, () => {
      expect(() => makeProxyFor(proxy, [text])).to.throw(
        TypeError,
        /^federation\.no_proxy: ".*" is not a host name, /,
      )
    })
})

describe('the URL of a proxy', () => {
  const cases: [string, Partial<ReturnType<typeof parseProxy>>][] = [
    ['http://proxy.example:3128', { secure: false, host: 'proxy.example', port: 3128, authorization: null }],
    ['https://proxy.example', { secure: true, host: 'proxy.example', port: 443, label: 'proxy.example:443' }],
    ['HTTP://Proxy.Example/', { secure: false, host: 'proxy.example', port: 80 }],
    ['proxy.example:3128', { secure: false, host: 'proxy.example', port: 3128 }],
    ['localhost:3128', { host: 'localhost', port: 3128 }],
    ['[::1]:3128', { host: '::1', port: 3128, label: '[::1]:3128' }],
    ['https://[2001:db8::1]', { host: '2001:db8::1', port: 443 }],
    ['http://192.0.2.1:3128', { host: '192.0.2.1' }],
    [
      'http://us%40er:pa%3Ass%2F%23@p.example:1',
      { authorization: basic('us@er:pa:ss/#'), label: 'p.example:1' },
    ],
    ['user:p%C3%A4ss@p.example:1', { authorization: basic('user:päss'), host: 'p.example', port: 1 }],
    ['http://user@p.example', { authorization: basic('user:') }],
    ['http://:word@p.example', { authorization: basic(':word') }],
  ]
  for (const [text, expected] of cases) {
    it(`${text.replace(/\/\/.*@/, '//…@')} is read`, () => {
      expect(parseProxy(text)).to.include(expected)
    })
  }

  const wrong: [string, RegExp][] = [
    ['socks5://p.example:1080', /^a proxy is an http:\/\/ or https:\/\/ URL, not socks5:\/\/$/],
    ['ftp://user:secret@p.example', /not ftp/],
    ['', /not a proxy URL/],
    ['http://', /not a proxy URL/],
    ['http://p example', /not a proxy URL/],
    ['http://p.example:99999', /not a proxy URL/],
    ['http://p.example:0', /port 0/],
    ['http://p.example/path', /ends after its port/],
    ['http://user:secret?@p.example', /not a proxy URL|%3F/],
    ['http://user:secret#x@p.example:1', /not a proxy URL|%23/],
    ['http://user:secret%zz@p.example', /percent-encoded/],
    ['http://user:secret%0d%0aX: y@p.example', /not a proxy URL/],
    ['http://user:secret%0d%0aX@p.example', /no control character/],
    ['http://us%3Aer:secret@p.example', /no colon/],
  ]
  for (const [text, why] of wrong) {
    it(`says what is wrong with ${text}, and not what the password is`, () => {
      expect(() => parseProxy(text)).to.throw(TypeError, why)
      expect(() => parseProxy(text)).not.to.throw(/secret/)
    })
  }
})

function basic(text: string): string {
  return `Basic ${Buffer.from(text).toString('base64')}`
}
