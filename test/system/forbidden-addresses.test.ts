import { expect } from 'chai'
import type { Given, Said } from './connecting.ts'
import { inOwnNetwork, requireOwnNetwork } from '../support/own-network.ts'

// Each is an address of the loopback interface there: a connection that is tried arrives.
const FORBIDDEN = [
  ...['10.0.0.1', '172.16.0.1', '192.168.0.1', '169.254.169.254', '100.64.0.1', '192.0.0.170', '192.0.2.1'],
  ...['198.18.0.1', '198.51.100.1', '203.0.113.1', '240.0.0.1', '0.0.0.1', '192.88.99.1'],
  ...[
    'fc00::1',
    'fd12:3456::1',
    'fec0::1',
    '100::1',
    '100:0:0:1::1',
    '2001:2::1',
    '2001:db8::1',
    '3fff::1',
    '5f00::1',
  ],
  // IPv4 inside IPv6: translators, tunnels and what was planned once.
  ...['::7f00:1', '::a00:1', '::ffff:0:7f00:1', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::a00:1'],
  ...['2002:7f00:1::', '2002:a00:1::1', '2001::80ff:fffe', '2001:0:7f00:1::f7f7:f7f7'],
]
const OPEN = ['8.8.8.8', '2001:4860:4860::8888', '64:ff9b::808:808', '2002:808:808::1', '::ffff:0:808:808']

/** Other spellings, and what leads to an address without being it. */
const TRICKS = [
  ...[
    '127.0.0.1',
    '127.255.255.254',
    '::1',
    '0::1',
    '0.0.0.0',
    '::',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:10.0.0.1',
  ],
  ...[
    '0:0:0:0:0:FFFF:A00:1',
    '::ffff:0.0.0.0',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '017700000001',
  ],
  ...[
    '10.1',
    '0xa000001',
    '127.0.0.1.',
    '::1%lo',
    'fc00::1%lo',
    'fe80::1%lo',
    'localhost',
    'a.localhost',
    '0',
  ],
]

describe('forbidden addresses, in a network where each of them is there', function () {
  this.timeout(120_000)
  before(function () {
    requireOwnNetwork(this)
  })
  const run = (given: Partial<Given>) =>
    inOwnNetwork<Said>(new URL('connecting.ts', import.meta.url), {
      ...{
        addresses: [...FORBIDDEN, ...OPEN],
        places: [...FORBIDDEN, ...TRICKS],
        open: '8.8.8.8',
        vetted: true,
      },
      ...given,
    } satisfies Given)

  it('none is connected to: as a destination, by a name, by a name that changes, through a proxy', async () => {
    const { came, asked } = await run({})
    // The name's other address is a public one.
    expect(Object.keys(came)).to.deep.equal(['::ffff:8.8.8.8'])
    expect([...new Set(asked.map((place) => place.replace(/:\d+$/, '')))]).to.deep.equal(['b.example'])
  })

  it('public addresses are, inside the same prefixes too', async () => {
    const { came, asked } = await run({ places: OPEN })
    const reached = Object.keys(came).map((address) => new URL(`http://[${address}]`).hostname)
    const expected = OPEN.map((address) => (address.includes(':') ? address : `::ffff:${address}`))
    expect(reached).to.have.members(expected.map((address) => new URL(`http://[${address}]`).hostname))
    for (const address of OPEN) expect(asked.join(), address).to.include(address)
  })

  it('without the lists each of them is: nothing else keeps limpet away', async () => {
    const { came } = await run({ vetted: false })
    const reached = new Set(Object.keys(came).map((address) => new URL(`http://[${address}]`).hostname))
    for (const address of [...FORBIDDEN, '127.0.0.1', '::1']) {
      const mapped = address.includes(':') ? address : `::ffff:${address}`
      expect([...reached], address).to.include(new URL(`http://[${mapped}]`).hostname)
    }
  })
})
