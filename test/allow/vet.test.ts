import { expect } from 'chai'
import fc from 'fast-check'
import { RESERVED_RANGES } from '../../src/allow/reserved-ranges.ts'
import { makeVet } from '../../src/allow/vet.ts'

const vet = makeVet({})

describe('which addresses may be connected to', () => {
  // One inside and the two that are just outside, of each range that IANA's registries call not reachable from everywhere.
  const edges: [range: string, first: string, last: string, before: string | null, after: string | null][] = [
    ['0.0.0.0/8', '0.0.0.0', '0.255.255.255', null, '1.0.0.0'],
    ['10.0.0.0/8', '10.0.0.0', '10.255.255.255', '9.255.255.255', '11.0.0.0'],
    ['100.64.0.0/10', '100.64.0.0', '100.127.255.255', '100.63.255.255', '100.128.0.0'],
    ['127.0.0.0/8', '127.0.0.0', '127.255.255.255', '126.255.255.255', '128.0.0.0'],
    ['169.254.0.0/16', '169.254.0.0', '169.254.255.255', '169.253.255.255', '169.255.0.0'],
    ['172.16.0.0/12', '172.16.0.0', '172.31.255.255', '172.15.255.255', '172.32.0.0'],
    ['192.0.0.0/24', '192.0.0.0', '192.0.0.255', '191.255.255.255', '192.0.1.0'],
    ['192.0.2.0/24', '192.0.2.0', '192.0.2.255', '192.0.1.255', '192.0.3.0'],
    ['192.88.99.0/24', '192.88.99.0', '192.88.99.255', '192.88.98.255', '192.88.100.0'],
    ['192.168.0.0/16', '192.168.0.0', '192.168.255.255', '192.167.255.255', '192.169.0.0'],
    ['198.18.0.0/15', '198.18.0.0', '198.19.255.255', '198.17.255.255', '198.20.0.0'],
    ['198.51.100.0/24', '198.51.100.0', '198.51.100.255', '198.51.99.255', '198.51.101.0'],
    ['203.0.113.0/24', '203.0.113.0', '203.0.113.255', '203.0.112.255', '203.0.114.0'],
    ['224.0.0.0/3', '224.0.0.0', '255.255.255.255', '223.255.255.255', null],
    ['::/128', '::', '::', null, null],
    ['::1/128', '::1', '::1', null, null],
    ['100::/64', '100::', '100::ffff:ffff:ffff:ffff', null, null],
    ['100:0:0:1::/64', '100:0:0:1::', '100::1:ffff:ffff:ffff:ffff', null, null],
    ['2001:1::/32 … 2001:1ff::/32', '2001:1::', '2001:1ff:ffff::ffff', null, '2001:200::'],
    ['2001:db8::/32', '2001:db8::', '2001:db8:ffff:ffff::ffff', '2001:db7:ffff::ffff', '2001:db9::'],
    ['3fff::/20', '3fff::', '3fff:fff:ffff::ffff', '3ffe:ffff::ffff', '3fff:1000::'],
    ['4000:: and above', '4000::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '3fff:ffff::', null],
    ['5f00::/16', '5f00::', '5f00:ffff::ffff', null, null],
    ['fc00::/7', 'fc00::', 'fdff:ffff::ffff', null, null],
    ['fe80::/10', 'fe80::', 'febf:ffff::ffff', null, null],
    ['fec0::/10', 'fec0::', 'feff:ffff::ffff', null, null],
    ['ff00::/8', 'ff00::', 'ff0e::1', null, null],
    ['below 2000::', '1:2::3', '1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', null, '2000::'],
  ]
  for (const [range, first, last, before, after] of edges) {
    it(`not ${range}, and what lies beside it`, () => {
      for (const address of [first, last])
        expect(vet(address), address).to.match(/may not be connected to \(/)
      for (const address of [before, after])
        if (address !== null) expect(vet(address), address).to.equal(null)
    })
  }

  const inside: [string, (v4: readonly [number, number, number, number]) => string][] = [
    ['::ffff:0:0/96', (v4) => `::ffff:${v4.join('.')}`],
    ['::ffff:0:0/96, in hexadecimal', (v4) => `0:0:0:0:0:FFFF:${groups(v4)}`],
    ['::ffff:0:0:0/96', (v4) => `::ffff:0:${groups(v4)}`],
    ['64:ff9b::/96', (v4) => `64:ff9b::${v4.join('.')}`],
    ['64:ff9b:1::/48, the last 32 bits', (v4) => `64:ff9b:1::${groups(v4)}`],
    ['64:ff9b:1::/48, after 48 bits', ([a, b, c, d]) => `64:ff9b:1:${hex(a, b)}:${hex(0, c)}:${hex(d, 0)}::`],
    ['64:ff9b:1::/48, after 56 bits', ([a, b, c, d]) => `64:ff9b:1:${hex(0, a)}:${hex(0, b)}:${hex(c, d)}::`],
    [
      '64:ff9b:1::/48, after 64 bits',
      ([a, b, c, d]) => `64:ff9b:1:0:${hex(0, a)}:${hex(b, c)}:${hex(d, 0)}:0`,
    ],
    ['2002::/16', (v4) => `2002:${groups(v4)}::`],
    ['2002::/16, with a host', (v4) => `2002:${groups(v4)}:1:2:3:4:5`],
    ['::/96', (v4) => `::${v4.join('.')}`],
    ['2001::/32, the client', (v4) => `2001:0:808:808::${groups(v4.map((byte) => byte ^ 255))}`],
    ['2001::/32, the client, no server', (v4) => `2001::${groups(v4.map((byte) => byte ^ 255))}`],
    ['2001::/32, the server', (v4) => `2001:0:${groups(v4)}::${groups([0xf7, 0xf7, 0xf7, 0xf7])}`],
  ]
  const forbidden = [
    ...[
      [127, 0, 0, 1],
      [10, 1, 2, 3],
      [169, 254, 169, 254],
      [172, 16, 0, 1],
      [192, 168, 1, 2],
      [100, 64, 0, 1],
    ],
    ...[
      [224, 0, 0, 251],
      [255, 255, 255, 255],
      [198, 18, 7, 7],
    ],
  ] as [number, number, number, number][]
  for (const [prefix, write] of inside) {
    it(`the IPv4 address inside ${prefix} decides`, () => {
      for (const v4 of forbidden)
        expect(vet(write(v4)), write(v4)).to.include(`it leads to ${v4.join('.')} (`)
      for (const v4 of [
        [8, 8, 8, 8],
        [1, 1, 1, 1],
        [93, 184, 215, 14],
      ] as [number, number, number, number][])
        expect(vet(write(v4)), write(v4)).to.equal(null)
    })
  }

  it('reads an ambiguous translated address in every way, and wants each to be allowed', () => {
    // After 48 bits 127.0.0.1, in the last 32 bits 8.8.8.8.
    expect(vet('64:ff9b:1:7f00:0:100:808:808')).to.include('it leads to 127.0.0.1 (loopback')
    expect(vet('64:ff9b:1:808:8:800:7f00:1')).to.include('it leads to 127.0.0.1 (loopback')
  })

  it('does not take a longer part of a prefix for the prefix: those beside are judged as they are', () => {
    for (const address of [
      '2003:7f00:1::',
      '2001:1200:7f00:1::',
      '2620:64:ff9b::7f00:1',
      '2001:4860::ffff:7f00:1',
    ])
      expect(vet(address), address).to.equal(null)
    for (const address of ['64:ff9b:0:0:0:1:808:808', '64:ff9b:2::808:808', '::fffe:808:808'])
      expect(vet(address), address).to.include('(reserved, ::/3)')
  })

  it('refuses everything that is not the ordinary spelling of an address', () => {
    const odd = [
      ...[
        '0177.0.0.1',
        '127.1',
        '127.0.1',
        '2130706433',
        '0x7f000001',
        '0x7f.1',
        '0x7F.0.0.1',
        '017700000001',
      ],
      ...[
        '127.0.0.1.',
        '127.0.0.01',
        '127.0.0.1 ',
        ' 127.0.0.1',
        '127.0.0.1\n',
        '127.0.0.1%lo',
        '１２７.0.0.1',
        '127。0。0。1',
      ],
      ...[
        '8.8.8.08',
        '8.8.8',
        '8.8.8.8/32',
        '8.8.8.8:443',
        '[::1]',
        '[2001:4860::1]',
        '2001:4860::1%eth0',
        '::1%lo',
        'fe80::1%1',
      ],
      ...[
        'fe80::1%25lo',
        '::ffff:0177.0.0.1',
        '::ffff:127.1',
        '::127.0.0.1.',
        ':::1',
        '1::2::3',
        '12345::',
        '::g',
      ],
      ...['localhost', 'b.example', '', '.', '*', '\0', '8.8.8.8\0'],
    ]
    for (const text of odd) expect(vet(text), text).to.include('is not an IP address in its ordinary form')
    const all = makeVet({ denylist: [], allowlist: ['0.0.0.0/0', '::/0'] })
    for (const text of odd) expect(all(text), text).to.include('is not an IP address in its ordinary form')
    expect(vet('x'.repeat(5000))).to.have.length.below(200)
  })

  it('tells what an address is, and by which range', () => {
    expect(vet('127.0.0.1')).to.equal('127.0.0.1 may not be connected to (loopback, 127.0.0.0/8)')
    expect(vet('64:ff9b::a00:1')).to.equal(
      '64:ff9b::a00:1 may not be connected to: it leads to 10.0.0.1 (private, 10.0.0.0/8)',
    )
    expect(makeVet({ denylist: ['93.184.0.0/16'] })('93.184.215.14')).to.equal(
      '93.184.215.14 may not be connected to (93.184.0.0/16 in federation.ip_denylist)',
    )
  })

  describe('by the lists of the operator', () => {
    it('a deny list replaces the default, and still unwraps', () => {
      const own = makeVet({ denylist: ['93.184.0.0/16', '2a00::/12'] })
      for (const address of ['127.0.0.1', '::1', '64:ff9b::7f00:1', '2001:db8::1'])
        expect(own(address)).to.equal(null)
      for (const address of [
        '93.184.1.2',
        '::ffff:93.184.1.2',
        '64:ff9b::5db8:102',
        '2002:5db8:102::',
        '2a01::1',
      ])
        expect(own(address), address).to.be.a('string')
      expect(makeVet({ denylist: [] })('127.0.0.1')).to.equal(null)
    })

    it('the allow list wins, for what it names and for nothing beside it', () => {
      const own = makeVet({ allowlist: ['10.1.0.0/16', 'fd00:1::/32', '::1'] })
      for (const address of [
        '10.1.2.3',
        '::ffff:10.1.2.3',
        '64:ff9b::10.1.2.3',
        '2002:a01:203::',
        'fd00:1::5',
        '::1',
      ])
        expect(own(address), address).to.equal(null)
      for (const address of [
        '10.2.0.1',
        '::ffff:10.2.0.1',
        'fd00:2::1',
        '127.0.0.1',
        '::',
        '::2',
        '::ffff:127.0.0.1',
      ])
        expect(own(address), address).to.be.a('string')
    })

    it('the allow list wins over a deny list of the operator', () => {
      const own = makeVet({ denylist: ['0.0.0.0/0', '::/0'], allowlist: ['8.8.8.0/24', '2001:4860::/32'] })
      expect(own('8.8.8.8')).to.equal(null)
      expect(own('2001:4860::1')).to.equal(null)
      expect(own('8.8.9.8')).to.be.a('string')
      expect(own('64:ff9b::808:909'), 'denied as an IPv6 address').to.be.a('string')
    })

    it('all of IPv6 on the allow list does not allow the IPv4 addresses inside', () => {
      const own = makeVet({ allowlist: ['::/0'] })
      for (const address of ['::1', '::', 'fd00::1', 'fe80::1', '2001:db8::1', '64:ff9b::808:808'])
        expect(own(address), address).to.equal(null)
      for (const address of [
        '::ffff:10.0.0.1',
        '64:ff9b::7f00:1',
        '2002:7f00:1::',
        '::127.0.0.1',
        '2001::80ff:fffe',
      ])
        expect(own(address), address).to.be.a('string')
      const translator = makeVet({ allowlist: ['64:ff9b:1::/48'] })
      expect(translator('64:ff9b:1::a00:1')).to.equal(null)
    })

    it('a range that is written as IPv4-mapped means the IPv4 range; the prefix alone does not mean all of IPv4', () => {
      const own = makeVet({ denylist: ['::ffff:93.184.0.0/112'] })
      for (const address of ['93.184.1.2', '::ffff:93.184.1.2'])
        expect(own(address), address).to.be.a('string')
      expect(own('93.185.1.2')).to.equal(null)
      expect(makeVet({ denylist: ['::ffff:0:0/96'] })('8.8.8.8')).to.equal(null)
      expect(makeVet({ allowlist: ['::ffff:0:0/96'] })('10.0.0.1')).to.be.a('string')
    })

    for (const [text, why] of [
      [
        '10.0.0.0/33',
        /^federation\.ip_denylist: "10\.0\.0\.0\/33": after the \/ comes a number from 0 to 32$/,
      ],
      ['::/129', /from 0 to 128$/],
      ['10.0.0.0/', /from 0 to 32$/],
      ['10.0.0.0/-1', /from 0 to 32$/],
      ['10.0.0.0/8/8', /is not an IP address or a range/],
      ['10.0.0.0/255.0.0.0', /from 0 to 32$/],
      ['10/8', /^federation\.ip_denylist: "10\/8" is not an IP address or a range such as 10\.0\.0\.0\/8$/],
      ['010.0.0.0/8', /is not an IP address or a range/],
      ['fe80::%eth0/10', /is not an IP address or a range/],
      ['[::1]', /is not an IP address or a range/],
      ['localhost', /is not an IP address or a range/],
      ['', /is not an IP address or a range/],
    ] as const)
      it(`says what is wrong with ${JSON.stringify(text)}`, () => {
        expect(() => makeVet({ denylist: [text] })).to.throw(TypeError, why)
        expect(() => makeVet({ allowlist: ['::1', text] })).to.throw(TypeError, /^federation\.ip_allowlist: /)
      })
  })

  describe('with any address', () => {
    const bits = (length: number) =>
      fc.array(fc.constantFrom('0', '1'), { minLength: length, maxLength: length })
    /** Many near what matters, since hardly any of all addresses are. */
    const prefixes = [
      ...[
        '::ffff:0:0/96',
        '::ffff:0:0:0/96',
        '64:ff9b::/96',
        '64:ff9b:1::/48',
        '2002::/16',
        '2001::/32',
        '::/96',
      ],
      ...RESERVED_RANGES.map(({ range }) => range),
      ...['::/0', '0.0.0.0/0', '2000::/3'],
    ].map(bitsOfRange)
    const anyAddress = fc
      .tuple(fc.constantFrom(...prefixes), bits(128), fc.constantFrom(...prefixes), fc.nat(96), fc.boolean())
      .map(([prefix, rest, v4, at, plant]) => {
        let all = (prefix.bits + rest.join('')).slice(0, prefix.of)
        // An IPv4 address of interest somewhere in it.
        if (plant && prefix.of === 128 && v4.of === 32)
          all = all.slice(0, at) + (v4.bits + all.slice(at + v4.bits.length)).slice(0, 128 - at)
        return all
      })

    it('agrees with tables of bits', () => {
      fc.assert(
        fc.property(anyAddress, (all) => {
          for (const text of spellings(all))
            expect(vet(text) !== null, `${text} ${all}`).to.equal(isForbidden(all))
        }),
        { numRuns: 2000 },
      )
    })

    it('takes nothing for an address that is not one, and never throws', () => {
      const piece = fc.constantFrom(
        '127',
        '0',
        '1',
        '0x7f',
        '0177',
        '.',
        ':',
        '::',
        '%',
        'lo',
        '/',
        '[',
        ']',
        'ffff',
        '\0',
        ' ',
        '-',
      )
      fc.assert(
        fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
          const reason = vet(pieces.join(''))
          const isOrdinary = /^(?:\d{1,3}\.){3}\d{1,3}$|^[0-9a-f:]*:[0-9a-f:.]*$/.test(pieces.join(''))
          if (!isOrdinary) expect(reason).to.include('is not an IP address in its ordinary form')
        }),
        { numRuns: 2000 },
      )
    })
  })
})

function hex(high: number, low: number): string {
  return (high * 256 + low).toString(16)
}

function groups([a = 0, b = 0, c = 0, d = 0]: readonly number[]): string {
  return `${hex(a, b)}:${hex(c, d)}`
}

/** The common bits of a range, written here with Node's URL parser: `src/` has a parser of its own. */
function bitsOfRange(range: string): { bits: string; of: 32 | 128 } {
  const [address = '', length = ''] = range.split('/')
  if (!address.includes(':')) {
    const all = address.split('.').map((part) => Number(part).toString(2).padStart(8, '0'))
    return { bits: all.join('').slice(0, Number(length)), of: 32 }
  }
  const short = new URL(`http://[${address}]/`).hostname.slice(1, -1)
  const count = short.split(':').filter((group) => group !== '').length
  const filled = short
    .replace('::', `:${'0:'.repeat(8 - count)}`)
    .split(':')
    .filter((group) => group !== '')
  const all = filled.map((group) => parseInt(group, 16).toString(2).padStart(16, '0'))
  return { bits: all.join('').slice(0, Number(length)), of: 128 }
}

/** Texts of the address with these bits: full, shortened, in capitals, and with a dotted end. */
function spellings(all: string): string[] {
  const octets = (all.match(/.{8}/g) ?? []).map((part) => parseInt(part, 2))
  if (octets.length === 4) return [octets.join('.')]
  const full = (all.match(/.{16}/g) ?? []).map((part) => parseInt(part, 2).toString(16))
  const short = new URL(`http://[${full.join(':')}]/`).hostname.slice(1, -1)
  const dotted = `${full.slice(0, 6).join(':')}:${octets.slice(12).join('.')}`
  return [full.join(':'), short, short.toUpperCase(), dotted]
}

const FORBIDDEN_V4 = [
  ...['00000000', '00001010', '0110010001', '01111111', '1010100111111110', '101011000001'],
  ...['110000000000000000000000', '110000000000000000000010', '110000000101100001100011', '1100000010101000'],
  ...['110001100001001', '110001100011001101100100', '110010110000000001110001', '111'],
]

/** A second opinion: texts of bits, no numbers, no ranges of `src/`. */
function isForbidden(all: string): boolean {
  const v4 = (one: string) => FORBIDDEN_V4.some((prefix) => one.startsWith(prefix))
  if (all.length === 32) return v4(all)
  if (/^0{127}[01]$/.test(all)) return true
  const zeros = (n: number) => '0'.repeat(n)
  const ones = '1'.repeat(16)
  const starts = (...parts: string[]) => all.startsWith(parts.join(''))
  const nat64 = '00000000011001001111111110011011'
  const lastV4 = all.slice(96)
  if (starts(zeros(96)) || starts(zeros(80), ones) || starts(zeros(64), ones, zeros(16))) return v4(lastV4)
  if (starts(nat64, zeros(64))) return v4(lastV4)
  if (starts('0010000000000010')) return v4(all.slice(16, 48))
  const oneOf = (...places: string[]) => {
    const filled = places.filter((place) => !place.startsWith(zeros(8)))
    return filled.length === 0 || filled.some(v4)
  }
  if (starts(nat64, zeros(15), '1')) {
    const without = all.slice(0, 64) + all.slice(72)
    return oneOf(without.slice(48, 80), without.slice(56, 88), without.slice(64, 96), lastV4)
  }
  if (starts('0010000000000001', zeros(16))) {
    const inverted = lastV4.replaceAll('0', 'x').replaceAll('1', '0').replaceAll('x', '1')
    return oneOf(inverted, all.slice(32, 64))
  }
  if (!starts('001')) return true
  return (
    starts('00100000000000010000000') ||
    starts('00100000000000010000110110111000') ||
    starts('00111111111111110000')
  )
}
