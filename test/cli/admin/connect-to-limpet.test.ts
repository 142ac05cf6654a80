import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import {
  connectToLimpet,
  type ConnectOptions,
  type ApiAddress,
} from '../../../src/cli/admin/connect-to-limpet.ts'
import { limpetUsers } from '../../../src/cli/admin/limpet-users.ts'
import type { Config } from '../../../src/config/config.ts'
import { skip } from '../../support/skip.ts'

const ME = process.geteuid?.() ?? -1
/** Nobody has this id here. */
const OTHER = 54_321

describe('a connection to limpet', () => {
  let dir: string
  let servers: Server[]
  let taken: Socket[]
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'limpet-connect-'))
    servers = []
    taken = []
  })
  afterEach(() => {
    for (const socket of taken) socket.destroy()
    for (const server of servers) server.close()
    rmSync(dir, { recursive: true, force: true })
  })

  async function listen(where: { host: string } | { path: string }): Promise<number> {
    const server = createServer((socket) => taken.push(socket))
    servers.push(server)
    await once(server.listen('path' in where ? where : { port: 0, ...where }), 'listening')
    return 'path' in where ? 0 : (server.address() as AddressInfo).port
  }
  /** 'connected', or the line of the refusal. */
  const ask = (place: ApiAddress, users: number[] | null, options: Partial<ConnectOptions> = {}) =>
    connectToLimpet({ place, shown: 'the door', users }, { timeoutMs: 10_000, ...options }).then(
      (socket) => {
        taken.push(socket)
        return 'connected'
      },
      (error: unknown) => (error as Error).message,
    )

  it('leads to a user that may be limpet, and to no other', async function () {
    if (process.platform !== 'linux') skip(this, 'no /proc/net/tcp')
    for (const host of ['127.0.0.1', '::1', '::', '0.0.0.0']) {
      const port = await listen({ host })
      const place = { host: host.replace('0.0.0.0', '127.0.0.1').replace(/^::$/, '127.0.0.1'), port }
      expect(await ask(place, [OTHER, ME]), host).to.equal('connected')
      expect(await ask(place, [OTHER]), host).to.match(
        /^what listens at the door belongs to the user .*, not to limpet: no token was sent/,
      )
      expect(await ask(place, null), host).to.equal('connected')
    }
  })

  it('asks the addresses of this machine, and believes others', async function () {
    if (process.platform !== 'linux') skip(this, 'no /proc/net/tcp')
    const own = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal)
    for (const host of ['127.0.0.2', ...(own === undefined ? [] : [own.address])]) {
      const port = await listen({ host })
      expect(await ask({ host, port }, [OTHER]), host).to.match(/no token was sent/)
      expect(await ask({ host, port }, [ME]), host).to.equal('connected')
    }
  })

  it('is refused where the tables do not know it, and looks more than once', async () => {
    const place = { host: '127.0.0.1', port: await listen({ host: '127.0.0.1' }) }
    let looks = 0
    const tables = () => {
      looks += 1
      return ['', '']
    }
    expect(await ask(place, [ME], { tables })).to.equal(
      "can't tell which user listens at the door: no token was sent (if it is limpet, give --url the door)",
    )
    expect(looks).to.equal(3)
  })

  it('is believed where there are no tables', async () => {
    const place = { host: '127.0.0.1', port: await listen({ host: '127.0.0.1' }) }
    expect(await ask(place, [OTHER], { tables: () => null })).to.equal('connected')
  })

  it('leads to a socket that belongs to a user that may be limpet', async () => {
    const socketPath = join(dir, 'limpet.sock')
    await listen({ path: socketPath })
    expect(await ask({ socketPath }, [ME])).to.equal('connected')
    expect(await ask({ socketPath }, [OTHER])).to.match(
      /belongs to the user .*, not to limpet: no token was sent/,
    )
    expect(await ask({ socketPath }, null)).to.equal('connected')
  })

  it('leads to a socket itself, not to what a link names', async () => {
    await listen({ path: join(dir, 'real.sock') })
    symlinkSync('real.sock', join(dir, 'link.sock'))
    writeFileSync(join(dir, 'file'), '')
    for (const name of ['link.sock', 'file'])
      expect(await ask({ socketPath: join(dir, name) }, [ME])).to.equal(
        'the door is not a socket: no token was sent',
      )
    expect(await ask({ socketPath: join(dir, 'none') }, [ME])).to.include('ENOENT')
  })
})

describe('as which users limpet may run', () => {
  let dir: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'limpet-users-'))
  })
  afterEach(() => rmSync(dir, { recursive: true, force: true }))
  const users = () =>
    limpetUsers({ data_dir: join(dir, 'data'), signing_key_path: join(dir, 'key') } as Config) ?? []
  const make = (name: string, uid: number, mode: number) => {
    const path = join(dir, name)
    if (name === 'data') mkdirSync(path)
    else writeFileSync(path, '')
    chmodSync(path, mode)
    chownSync(path, uid, 0)
  }

  it('root and we, also where there is nothing', () => {
    expect(users()).to.have.members([...new Set([ME, 0])])
  })

  it('the owner of data_dir and of the tokens in it; of the key, where data_dir does not say it', function () {
    if (ME !== 0) skip(this, 'not root: nothing can be given to others')
    make('key', 3, 0o600)
    expect(users()).to.have.members([0, 3])
    make('data', 1, 0o700)
    expect(users()).to.have.members([0, 1])
    chownSync(join(dir, 'data'), 0, 0)
    expect(users()).to.have.members([0])
    chmodSync(join(dir, 'data'), 0o770)
    expect(users()).to.have.members([0, 3])
    make('data/tokens.yaml', 2, 0o600)
    expect(users()).to.have.members([0, 2, 3])
  })
})
