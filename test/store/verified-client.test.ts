import { expect } from 'chai'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { makeCertificateAuthority } from '../../src/simulate/fleet/certs.ts'
import { openPool } from '../../src/store/db.ts'
import { withoutCertificates } from '../support/without-certificates.ts'

describe('the certificate of PostgreSQL', () => {
  let port: number
  let greeted: number
  let close: () => void
  before(async () => {
    const ca = await makeCertificateAuthority(Date.now())
    const { key, cert } = await ca.issue()
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined))
      // A client that asks for TLS gets it; one that says hello within has believed the certificate.
      socket.once('data', () => {
        socket.write('S')
        const secure = new TLSSocket(socket, { isServer: true, key, cert })
        secure.on('error', () => undefined)
        secure.once('data', () => {
          greeted += 1
          secure.destroy()
        })
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
    close = () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  })
  beforeEach(() => (greeted = 0))
  after(() => close())

  const connect = async (mode: string): Promise<string> => {
    const pool = openPool({ url: `postgres://u@127.0.0.1:${port}/d?sslmode=${mode}` })
    try {
      await pool.connect()
      return 'connected'
    } catch (error) {
      return (error as { code?: string }).code ?? (error as Error).message
    } finally {
      await pool.end()
    }
  }

  it('is checked, whatever the environment says', async () => {
    await withoutCertificates(async () => {
      expect(await connect('verify-full')).to.equal('UNABLE_TO_VERIFY_LEAF_SIGNATURE')
      expect(await connect('require')).to.equal('UNABLE_TO_VERIFY_LEAF_SIGNATURE')
    })
    expect(greeted).to.equal(0)
  })

  it('is not where the URL says so', async () => {
    await connect('no-verify')
    expect(greeted).to.equal(1)
  })
})
