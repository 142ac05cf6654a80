import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { openBackend } from '../../queues/open-backend.ts'
import { shareConnection } from '../../queues/postgres-connection.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { makeLog } from '../../src/observe/log.ts'
import { openPool } from '../../src/store/db.ts'
import { clusterUrl } from '../../src/embedded/cluster.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { watchForSilence } from '../../src/store/silence.ts'
import { freshDatabase } from '../support/postgres.ts'
import { until } from '../support/poll.ts'

const PASSWORD = 'the-password-of-limpet'
const log = makeLog({ level: 'silent', pretty: false })

/** One message of a server: type, length, what it holds. */
const message = (type: string, ...parts: Buffer[]) => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(4 + parts.reduce((sum, part) => sum + part.length, 0))
  return Buffer.concat([Buffer.from(type), length, ...parts])
}
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const ready = message('Z', Buffer.from('I'))

describe('a server that took the place of ours', () => {
  let dir: string
  let server: Server
  let sent: Buffer[]
  const sockets = new Set<Socket>()

  /** Says `first` to every client that connects, and keeps what it is told after the start. */
  const squat = async (first: Buffer) => {
    sent = []
    server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('data', () => {
        socket.on('data', (bytes: Buffer) => sent.push(bytes))
        socket.write(first)
      })
    })
    await new Promise<void>((resolve) => server.listen(join(dir, '.s.PGSQL.5432'), resolve))
  }
  /** A goodbye (Terminate) aside. */
  const heard = () => Buffer.concat(sent).toString('latin1').replace('X\0\0\0\x04', '')

  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'limpet-squat-'))))
  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    await new Promise((resolve) => server.close(resolve))
    rmSync(dir, { recursive: true, force: true })
  })

  const ASKS: readonly (readonly [string, Buffer, RegExp])[] = [
    ['asks for the password in the clear', message('R', int32(3)), /in the clear/],
    ['asks for the password as MD5', message('R', int32(5), Buffer.from('salt')), /as MD5/],
    ['asks for nothing', Buffer.concat([message('R', int32(0)), ready]), /does not prove/],
    ['does not even say that it asks for nothing', ready, /does not prove/],
    ['asks for another proof', message('R', int32(10), Buffer.from('PLAIN\0\0')), /Only mechanism/],
    [
      'ends the proof without having begun it',
      Buffer.concat([message('R', int32(12), Buffer.from('v=')), ready]),
      /./,
    ],
  ]
  const WAYS: readonly (readonly [string, (url: string) => Promise<unknown>])[] = [
    ['a single connection', (url) => query(url, (client) => client.query('select 1'))],
    [
      'the pool',
      async (url) => {
        const pool = openPool({ url, max: 1 })
        await pool.query('select 1').finally(() => pool.end())
      },
    ],
    ['the queue', async (url) => (await openBackend({ kind: 'postgres', url }, { log })).close()],
    [
      'the connection on which the queue listens',
      async (url) => {
        const shared = shareConnection(url)
        await shared.connection.getListenClient().finally(() => shared.close())
      },
    ],
  ]
  for (const [what, first, why] of ASKS)
    for (const [who, connect] of WAYS)
      it(`that ${what} hears nothing from ${who}`, async () => {
        await squat(first)
        const error = await connect(clusterUrl(dir, 5432, PASSWORD)).catch((thrown: unknown) => thrown)
        expect(String(error)).to.match(why)
        expect(heard()).to.equal('')
      })

  it('hears nothing from the watch for silence', async () => {
    await squat(message('R', int32(3)))
    const url = clusterUrl(dir, 5432, PASSWORD)
    const pool = openPool({ url, max: 1 })
    const watch = watchForSilence(pool, { url, clock: systemClock, log, everyMs: 20 })
    await until(() => sockets.size > 2, { what: 'the watch to have asked' })
    await watch.stop()
    await pool.end()
    expect(heard()).to.equal('')
  })
})

describe('a URL with require_auth=scram-sha-256', () => {
  it('leads to a server of an operator that asks for that', async () => {
    const { url } = await freshDatabase()
    const asked = `${url}?require_auth=scram-sha-256`
    expect(await query(asked, async (client) => (await client.query('select 1')).rowCount)).to.equal(1)
    const wrong = asked.replace(/:[^:@]+@/, ':guessed@')
    expect(await query(wrong, () => Promise.resolve()).catch((error: unknown) => error)).to.have.property(
      'code',
      '28P01',
    )
  })
})
