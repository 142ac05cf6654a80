import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startDaemon } from '../../src/daemon/daemon.ts'
import { makeLog } from '../../src/observe/log.ts'
import { until } from '../support/poll.ts'
import { makeWorld, type World } from './world.ts'

describe('a daemon with the embedded database', () => {
  let world: World
  before(async () => {
    world = await makeWorld()
  })
  after(() => world.stop())

  it('starts the database again when it was killed, and goes on by itself', async () => {
    const config = {
      ...world.config,
      database: { kind: 'embedded' as const },
      data_dir: join(world.dir, 'data'),
    }
    const daemon = await world.start(['ingest', 'deliver', 'housekeep'], config)
    const remote = await world.remote()
    const room = '!room:home.example'
    const [first, second] = [world.event(room), world.event(room)]
    await world.ingest([{ type: 'servers', room_id: room, add: [remote.serverName] }, first.item])
    await until(() => remote.received.has(first.eventId), { what: 'the first event' })
    const pid = Number(
      readFileSync(join(config.data_dir, 'postgres/data/postmaster.pid'), 'utf8').split('\n')[0],
    )
    process.kill(pid, 'SIGKILL')
    await until(() => world.ingest([second.item]), {
      what: 'ingest to work again',
      everyMs: 200,
    })
    await until(() => remote.received.has(second.eventId), { what: 'the second event' })
    expect(remote.violations).to.deep.equal([])
    await daemon.stop()
  })

  it('refuses a second run on the same data_dir with the pid of the first', async () => {
    const config = {
      ...world.config,
      database: { kind: 'embedded' as const },
      data_dir: join(world.dir, 'data'),
    }
    const daemon = await world.start(['housekeep'], config)
    const options = {
      config,
      roles: ['housekeep'] as const,
      listen: [],
      log: makeLog({ level: 'silent', pretty: false }),
    }
    let refusal: unknown
    await startDaemon(options).catch((error: unknown) => (refusal = error))
    expect(String(refusal)).to.include(`process ${process.pid}`)
    await daemon.stop()
  })
})
