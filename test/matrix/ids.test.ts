import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import {
  domainOf,
  isEventId,
  isRoomId,
  makeTxnId,
  parseServerName,
  splitServerName,
} from '../../src/matrix/ids.ts'

describe('Matrix identifiers', () => {
  const good = [
    ['matrix.org', 'matrix.org', null, null],
    ['matrix.org:8888', 'matrix.org', 8888, null],
    ['1.2.3.4', '1.2.3.4', null, 4],
    ['1.2.3.4:1234', '1.2.3.4', 1234, 4],
    ['[1234:5678::abcd]', '1234:5678::abcd', null, 6],
    ['[1234:5678::abcd]:5678', '1234:5678::abcd', 5678, 6],
    ['[::ffff:127.0.0.1]:8448', '::ffff:127.0.0.1', 8448, 6],
    ['localhost:1', 'localhost', 1, null],
    ['MATRIX.org', 'MATRIX.org', null, null],
    ['3com.com', '3com.com', null, null],
    ['a.b:65535', 'a.b', 65535, null],
  ] as const
  for (const [text, host, port, literal] of good) {
    it(`takes the server name ${text} apart`, () => {
      const name = parseServerName(text)
      expect(name).to.equal(text)
      expect(splitServerName(name!)).to.deep.equal({ host, port, literal })
    })
  }

  const hostile = [
    ['nothing', ''],
    ['a path', 'evil.com/../'],
    ['300 characters', 'a.'.repeat(149) + 'ab'],
    ['231 characters', `${'a'.repeat(57)}.`.repeat(3) + 'a'.repeat(57)],
    ['a port above 65535', 'a.b:65536'],
    ['port 0', 'a.b:0'],
    ['six digits of port', 'a.b:001234'],
    ['an empty port', 'a.b:'],
    ['two ports', 'a.b:1:2'],
    ['a user', 'user@a.b'],
    ['a space', 'a b'],
    ['a line break at the end', 'a.b\n'],
    ['a quote', 'a".b'],
    ['a comma', 'a,b'],
    ['a percent', 'a%2eb'],
    ['an underscore', 'a_b.c'],
    ['letters beyond ASCII', 'bücher.example'],
    ['a NUL', 'a\0.b'],
    ['an IPv6 address without brackets', '::1'],
    ['no IPv6 address in brackets', '[1.2.3.4]'],
    ['too many groups', '[1:2:3:4:5:6:7:8:9]'],
    ['an IPv6 zone', '[fe80::1%eth0]'],
    ['an open bracket', '[::1'],
    ['text behind the bracket', '[::1]a'],
    ['an IPv4 address out of range', '1.2.3.256'],
    ['a short IPv4 address', '127.1'],
    ['a hexadecimal IPv4 address', '0x7f.0.0.1'],
    ['a number', '2130706433'],
    ['an octal IPv4 address', '0177.0.0.01'],
    ['an empty label', 'a..b'],
    ['a dot at the end', 'a.b.'],
    ['a label of 64', `${'a'.repeat(64)}.b`],
  ] as const
  for (const [what, text] of hostile) {
    it(`refuses a server name with ${what}`, () => {
      expect(parseServerName(text)).to.equal(null)
    })
  }

  it('takes a server name of 230 characters', () => {
    expect(parseServerName(`${`${'a'.repeat(57)}.`.repeat(3)}${'a'.repeat(56)}`)).to.have.length(230)
  })

  it('tells room and event ids by their sigil, with and without a domain', () => {
    for (const [ok, text] of [
      [true, '!a:b.c'],
      [true, '!Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ'],
      [true, `!${'é'.repeat(127)}`],
      [false, `!${'é'.repeat(128)}`],
      [false, `!${'a'.repeat(255)}`],
      [false, '!'],
      [false, ''],
      [false, '!a\0:b'],
      [false, '!\ud800:b'],
      [false, '#a:b.c'],
    ] as const) {
      expect(isRoomId(text), JSON.stringify(text)).to.equal(ok)
      expect(isEventId(text.replace('!', '$')), JSON.stringify(text)).to.equal(ok)
      expect(isEventId(text)).to.equal(false)
    }
  })

  it('finds the domain of a user after the first colon', () => {
    expect(domainOf('@a:b.c:8448')).to.equal('b.c:8448')
    expect(domainOf('@:b')).to.equal('b')
    expect(domainOf('@a')).to.equal(null)
  })

  it('makes transaction ids of 128 random bits that a URL can hold', () => {
    expect(makeTxnId(() => new Uint8Array(16).fill(255))).to.equal('_____________________w')
    const ids = new Set(Array.from({ length: 1000 }, () => makeTxnId(randomBytes)))
    expect(ids.size).to.equal(1000)
    for (const id of ids) expect(id).to.match(/^[A-Za-z0-9_-]{22}$/)
  })
})
