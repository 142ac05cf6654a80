import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect } from 'chai'
import { formsOf, usersAtServer } from '../../../src/cli/admin/tcp-table.ts'
import { skip } from '../../support/skip.ts'

const TABLE =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const row = (local: string, remote: string, state: string, uid: number, inode: number) =>
  `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000  ${String(uid).padStart(4)}        0 ${inode} 1 0000000000000000 20 4 30 10 -1\n`
const NONE_4 = '00000000:0000'
const [PORT, OURS] = [':2115', ':C350']
const LOOPBACK_4 = '0100007F'
const ANY_4 = '00000000'
const MAPPED = '0000000000000000FFFF00000100007F'
const LOOPBACK_6 = '00000000000000000000000001000000'
const ANY_6 = '0'.repeat(32)
const at = (address: string) => ({ server: { address, port: 8469 }, client: { address, port: 50_000 } })
const users = (address: string, ...rows: string[]) =>
  usersAtServer([TABLE + rows.join(''), ''], at(address), 'LE')

describe('who has the other end of a TCP connection', () => {
  it('reads addresses in the order of the machine', () => {
    expect(formsOf('127.0.0.1', 'LE')).to.deep.equal([LOOPBACK_4, MAPPED])
    expect(formsOf('::ffff:127.0.0.1', 'LE')).to.deep.equal([LOOPBACK_4, MAPPED])
    expect(formsOf('10.1.2.3', 'BE')).to.deep.equal(['0A010203', '00000000000000000000FFFF0A010203'])
    expect(formsOf('::1', 'LE')).to.deep.equal([LOOPBACK_6])
    expect(formsOf('::', 'LE')).to.deep.equal([ANY_6])
    expect(formsOf('fe80::a:1%eth0', 'LE')).to.deep.equal(['000080FE000000000000000001000A00'])
    expect(formsOf('2001:db8:1:2:3:4:5:6', 'BE')).to.deep.equal(['20010DB8000100020003000400050006'])
  })

  it('takes the end of the server, not ours', () => {
    const [theirs, ours] = [
      row(LOOPBACK_4 + PORT, LOOPBACK_4 + OURS, '01', 7, 77),
      row(LOOPBACK_4 + OURS, LOOPBACK_4 + PORT, '01', 0, 66),
    ]
    expect(users('127.0.0.1', ours, theirs)).to.deep.equal([7])
    expect(users('127.0.0.1', ours)).to.deep.equal([])
  })

  it('takes no other connection to the same port', () => {
    const other = row(LOOPBACK_4 + PORT, `${LOOPBACK_4}:C351`, '01', 8, 88)
    const elsewhere = row(`0200007F${PORT}`, LOOPBACK_4 + OURS, '01', 9, 99)
    expect(users('127.0.0.1', other, elsewhere)).to.deep.equal([])
  })

  it('finds an IPv4 connection to a socket of IPv6', () => {
    expect(users('127.0.0.1', row(MAPPED + PORT, MAPPED + OURS, '01', 7, 77))).to.deep.equal([7])
    expect(users('::1', row(LOOPBACK_6 + PORT, LOOPBACK_6 + OURS, '01', 7, 77))).to.deep.equal([7])
  })

  it('names a user once, though a row is there twice: the kernel writes a table in pieces', () => {
    const ours = row(LOOPBACK_4 + PORT, LOOPBACK_4 + OURS, '01', 7, 77)
    expect(users('127.0.0.1', ours, ours)).to.deep.equal([7])
    const listens = row(LOOPBACK_4 + PORT, NONE_4, '0A', 8, 11)
    expect(users('127.0.0.1', listens, listens)).to.deep.equal([8])
  })

  it('goes by the socket also where the server has said its last word', () => {
    expect(users('127.0.0.1', row(LOOPBACK_4 + PORT, LOOPBACK_4 + OURS, '05', 7, 77))).to.deep.equal([7])
  })

  it('takes the listener where nobody has accepted: the row says root then', () => {
    for (const state of ['01', '03']) {
      const waiting = row(LOOPBACK_4 + PORT, LOOPBACK_4 + OURS, state, 0, 0)
      const listens = (local: string, uid: number) => row(local + PORT, NONE_4, '0A', uid, 11)
      expect(users('127.0.0.1', waiting)).to.deep.equal([])
      for (const local of [LOOPBACK_4, MAPPED, ANY_4, ANY_6])
        expect(users('127.0.0.1', waiting, listens(local, 7)), local).to.deep.equal([7])
      expect(users('127.0.0.1', listens(ANY_6, 9), listens(ANY_4, 8), listens(LOOPBACK_4, 7))).to.deep.equal([
        7,
      ])
      expect(users('127.0.0.1', listens(ANY_6, 9), listens(ANY_4, 8))).to.deep.equal([8])
      expect(users('127.0.0.1', listens(ANY_4, 7), listens(ANY_4, 8))).to.deep.equal([7, 8])
      expect(users('::1', listens(ANY_4, 8), listens(LOOPBACK_6, 7))).to.deep.equal([7])
      expect(users('::1', listens(ANY_4, 8))).to.deep.equal([])
    }
  })

  for (const host of ['127.0.0.1', '0.0.0.0', '::'])
    it(`finds us in the real tables, accepted or not (${host})`, async function () {
      if (!existsSync('/proc/self/net/tcp6')) skip(this, 'no /proc/self/net/tcp6')
      const server = createServer()
      await once(server.listen(0, host), 'listening')
      const { port } = server.address() as AddressInfo
      const socket = connect(port, '127.0.0.1')
      try {
        const look = () => {
          const tables = ['tcp', 'tcp6'].map((name) => readFileSync(`/proc/self/net/${name}`, 'latin1'))
          const client = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
          return usersAtServer(tables, { server: { address: '127.0.0.1', port }, client })
        }
        const accepted = once(server, 'connection')
        await once(socket, 'connect')
        expect(look()).to.deep.equal([process.geteuid?.()])
        const [other] = (await accepted) as [ReturnType<typeof connect>]
        expect(look()).to.deep.equal([process.geteuid?.()])
        other.destroy()
      } finally {
        socket.destroy()
        server.close()
      }
    })
})
