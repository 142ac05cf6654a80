/** What `resolv.conf`, `/etc/hosts` and settings say. */
import { expect } from 'chai'
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { parseResolvConf } from '../../../src/discovery/dns/resolv-conf.ts'
import { parseDnsServerAddress, showDnsServer } from '../../../src/allow/dns-server.ts'
import { watchFile } from '../../../src/discovery/dns/watched-file.ts'
import { brief, dnsSetting } from './setting.ts'

describe("the resolver's files", () => {
  const setting = dnsSetting()

  it('names servers as people write them', () => {
    const cases: [string, string | null, number | null][] = [
      ['192.0.2.1', '192.0.2.1', null],
      ['192.0.2.1:5353', '192.0.2.1', 5353],
      ['2001:db8::1', '2001:db8::1', null],
      ['[2001:db8::1]', '2001:db8::1', null],
      ['[2001:db8::1]:5353', '2001:db8::1', 5353],
      ['fe80::1%eth0', 'fe80::1%eth0', null],
      ['[fe80::1%eth0]:53', 'fe80::1%eth0', 53],
      ...['192.0.2.1:0', '192.0.2.1:65536', '192.0.2.1:', '192.0.2', '[192.0.2.1]:53', '[::1', '::1]:53'].map(
        (text): [string, null, null] => [text, null, null],
      ),
      ...['dns.example', '', ' 192.0.2.1', '[::1]:x', '192.0.2.1:53:53', '[::1]:'].map(
        (text): [string, null, null] => [text, null, null],
      ),
    ]
    for (const [text, address, port] of cases) {
      expect(parseDnsServerAddress(text), text).to.deep.equal(address === null ? null : { address, port })
    }
    expect(showDnsServer({ address: '::1', port: 53 }, 53)).to.equal('::1')
    expect(showDnsServer({ address: '::1', port: 5353 }, 53)).to.equal('[::1]:5353')
    expect(showDnsServer({ address: '192.0.2.1', port: 5353 }, 53)).to.equal('192.0.2.1:5353')
  })

  it('reads resolv.conf: servers in their order, options, comments, nonsense', () => {
    const text = [
      '# a comment',
      'search example.org ; another',
      '  nameserver\t192.0.2.1   # the first',
      'nameserver fe80::1%eth0',
      'nameserver dns.example',
      'nameserver 192.0.2.3;without a space',
      'nameserver',
      'nameservers 192.0.2.8',
      'options ndots:3 timeout:2 rotate',
      'options attempts:3 timeout:x',
      ';nameserver 192.0.2.9',
      'nameserver 2001:db8::1\r',
    ].join('\n')
    expect(parseResolvConf(text)).to.deep.equal({
      servers: ['192.0.2.1', 'fe80::1%eth0', '192.0.2.3', '2001:db8::1'].map((address) => ({
        address,
        port: null,
      })),
      ...{ named: true, timeoutMs: 2_000, attempts: 3 },
    })
    const bounds = parseResolvConf('options timeout:99 attempts:99\noptions\n')
    expect(bounds).to.deep.include({ timeoutMs: 30_000, attempts: 5, named: false })
    expect(parseResolvConf('options timeout:0 attempts:0')).to.deep.include({ timeoutMs: 1_000, attempts: 1 })
    expect(parseResolvConf('').servers).to.deep.equal([{ address: '127.0.0.1', port: null }])
    expect(parseResolvConf('nameserver 192.0.2.1\n'.repeat(50)).servers).to.have.length(8)
  })

  it('honours /etc/hosts for addresses, in place of DNS, and reads it again when it changes', async () => {
    const server = await setting.server({ '*.example': { a: ['192.0.2.99'], aaaa: ['2001:db8::99'] } })
    setting.write(
      'hosts',
      [
        '127.0.0.1 localhost',
        '192.0.2.1 Listed.example alias # not.example',
        '2001:db8::1\tlisted.example.',
        '192.0.2.1 listed.example',
        'fe80::1%lo zone.example',
        'nonsense other.example',
        '192.0.2.300 other.example',
      ].join('\n'),
    )
    const resolver = setting.resolver([server], { lateMs: 1_000 })
    const addressesOf = async (name: string) => brief(await resolver.lookupAddresses(name))
    expect(await addressesOf('listed.EXAMPLE.')).to.equal('192.0.2.1 2001:db8::1')
    expect(await addressesOf('alias')).to.equal('192.0.2.1')
    expect(await addressesOf('zone.example')).to.equal('fe80::1%lo')
    expect(await addressesOf('localhost')).to.equal('127.0.0.1')
    expect(await addressesOf('sub.localhost')).to.equal('127.0.0.1 ::1')
    expect(server.asked()).to.equal(0)
    expect(await addressesOf('other.example')).to.equal('2001:db8::99 192.0.2.99')
    expect(await addressesOf('not.example')).to.equal('2001:db8::99 192.0.2.99')

    setting.write('hosts', '192.0.2.2 listed.example\n', 50)
    expect(await addressesOf('listed.example'), 'not looked at again yet').to.equal('192.0.2.1 2001:db8::1')
    setting.clock.forward(3_000)
    expect(await addressesOf('listed.example')).to.equal('192.0.2.2')
    expect(await addressesOf('localhost'), 'whatever the file says').to.equal('127.0.0.1 ::1')
    setting.write('hosts', '', 40)
    setting.clock.forward(3_000)
    expect(await addressesOf('listed.example')).to.equal('2001:db8::99 192.0.2.99')
  })

  it('does not take SRV records from /etc/hosts, nor stop at it for them', async () => {
    const server = await setting.server({
      '_s.listed.example': { srv: [{ port: 1, target: 'listed.example' }] },
    })
    setting.write('hosts', '192.0.2.1 _s.listed.example listed.example\n')
    const resolver = setting.resolver([server])
    expect(brief(await resolver.lookupSrv('_s.listed.example'))).to.equal('listed.example')
  })

  it('notices a change of the same length, of what claims to be as old, by another file or another link', () => {
    const { clock } = setting
    const path = setting.write('hosts', 'aaaa', 0)
    const watched = watchFile({ path, parse: (text) => ({ text }), clock, everyMs: 3_000 })
    const first = watched.read()
    expect(first.text).to.equal('aaaa')
    const next = () => {
      clock.forward(3_000)
      return watched.read()
    }
    expect(next(), 'the same object while the text is the same').to.equal(first)
    for (const text of ['bbbb', 'eeee']) {
      writeFileSync(path, text)
      utimesSync(path, 1_000, 1_000)
      expect(next().text).to.equal(text)
    }
    writeFileSync(`${path}.new`, 'cccc')
    renameSync(`${path}.new`, path)
    expect(next().text).to.equal('cccc')
    writeFileSync(`${path}.target`, 'dddd')
    symlinkSync(`${path}.target`, `${path}.link`)
    renameSync(`${path}.link`, path)
    expect(next().text).to.equal('dddd')
  })

  it('goes on with what a file said while it is there and cannot be read, and takes one that is gone for empty', () => {
    const { clock } = setting
    const path = setting.write('hosts', 'aaaa')
    const watched = watchFile({ path, parse: (text) => ({ text }), clock, everyMs: 3_000 })
    const first = watched.read()
    const next = () => {
      clock.forward(3_000)
      return watched.read()
    }
    rmSync(path)
    mkdirSync(path)
    expect(next()).to.equal(first)
    rmSync(path, { recursive: true })
    expect(next().text).to.equal('')
    setting.write('hosts', 'bbbb')
    expect(next().text).to.equal('bbbb')
  })
})
