/**
 * The database moves while something is owed: embedded to an external one and back, with a transaction that a remote has
 * processed and never answered. And a dump of a running limpet is one moment of it.
 */
import { expect } from 'chai'
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { until } from '../support/poll.ts'
import { freshDatabase } from '../support/postgres.ts'
import { ok } from '../../src/simulate/fleet/behaviour.ts'
import { openPool } from '../../src/store/db.ts'
import { limpet } from '../cli/cli-stage.ts'
import { makeWorld, OURS, type World } from './world.ts'

const ROOM = '!room:home.example'

describe('copies of the database', function () {
  this.timeout(120_000)
  let world: World
  before(async () => (world = await makeWorld()))
  after(() => world.stop())

  /** `limpet db …` with `database` and `data_dir` configured. */
  async function db(database: string, dataDir: string, ...args: string[]) {
    const config = { server_name: OURS, signing_key_path: 'key', database, data_dir: dataDir }
    writeFileSync(join(world.dir, 'copy.yaml'), JSON.stringify(config), { mode: 0o600 })
    const said = await limpet(['db', ...args, '--config', 'copy.yaml'], { cwd: world.dir })
    return { ...said, err: said.err.replaceAll(/^.* … \d+ s\n/gm, '') }
  }

  it('embedded to external and back: everything that is owed arrives once, and what is unanswered goes again under its id', async () => {
    const [first, second] = [join(world.dir, 'first'), join(world.dir, 'second')]
    const outside = (await freshDatabase({ migrated: false })).url
    const startOn = (database: typeof world.config.database, data_dir: string) =>
      world.start(['ingest', 'deliver', 'housekeep'], { ...world.config, database, data_dir })
    const remote = await world.remote()
    const events = Array.from({ length: 30 }, () => world.event(ROOM))
    const items = events.map(({ item }) => item)
    remote.behave({ kind: 'drop after processing' })

    let daemon = await startOn({ kind: 'embedded' }, first)
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }, ...items.slice(0, 3)])
    await until(() => remote.requests > 0, { what: 'a transaction that is not answered' })
    const running = await db('embedded', first, 'copy', '--to', outside)
    expect(running.err).to.match(/^limpet: a limpet runs on data_dir .*: stop it first/)
    await world.ingest(items.slice(3, 10))
    await daemon.stop()
    const out = await db('embedded', first, 'copy', '--to', outside)
    expect(out.err).to.equal('')
    expect(out.out).to.match(
      /^copied [\d,]+ rows .*; counts match\nput into limpet.yaml:\n {2}server_name: home\.example\n {2}database: postgres:/,
    )
    expect(out.out).to.include(`start none on ${join(first, 'postgres')} again`)

    daemon = await startOn({ kind: 'url', url: outside }, first)
    await world.ingest(items.slice(10, 20))
    const used = await db(outside, second, 'copy', '--to', 'embedded')
    expect(used.err).to.match(/^limpet: limpet runs on the database that would be copied \(\d+ connections/)
    await daemon.stop()
    const back = await db(outside, second, 'copy', '--to', 'embedded')
    expect(back.err).to.equal('')
    expect(back.out).to.include(`  database: embedded\n  data_dir: ${second}\n`)

    daemon = await startOn({ kind: 'embedded' }, second)
    await world.ingest(items.slice(20))
    expect(remote.transactions, 'one id, whatever became of the database').to.have.length(1)
    const since = Date.now()
    const [unanswered] = remote.transactions
    await until(() => unanswered?.requestsAt.some((at) => at > since), { what: 'the same transaction again' })
    remote.behave(ok)
    await until(() => events.every(({ eventId }) => remote.received.has(eventId)), { what: 'all events' })
    expect([...remote.received.keys()], 'in order').to.deep.equal(events.map(({ eventId }) => eventId))
    expect(remote.violations).to.deep.equal([])
    expect(
      remote.transactions.flatMap(({ pduIds }) => pduIds),
      'once each',
    ).to.have.length(events.length)
    await daemon.stop()
  })

  it('a dump of a running limpet under ingest is one moment: whole requests, with the token of the last one', async () => {
    const daemon = await world.start()
    const remote = await world.remote()
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }])
    let batch = 0
    const dumped = new AbortController()
    const sizes = new Map<number, string[]>()
    const ingesting = (async () => {
      while (!dumped.signal.aborted) {
        batch += 1
        const events = Array.from({ length: 20 }, () =>
          world.event(ROOM, { body: `batch ${batch} ${'x'.repeat(2000)}` }),
        )
        sizes.set(
          batch,
          events.map(({ eventId }) => eventId),
        )
        await world.ingest(
          events.map(({ item }) => item),
          { source: 'hs', source_token: String(batch) },
        )
      }
    })()
    await until(() => batch > 5, { what: 'traffic' })
    const said = await db(world.databaseUrl, join(world.dir, 'none'), 'dump', join(world.dir, 'live.dump'))
    dumped.abort()
    await ingesting
    expect(said.err).to.equal('')
    const url = (await freshDatabase({ migrated: false })).url
    const loaded = await db(url, join(world.dir, 'none'), 'load', join(world.dir, 'live.dump'))
    expect(loaded.err).to.equal('')
    const pool = openPool({ url, max: 1 })
    try {
      const { rows: tokens } = await pool.query<{ token: string }>(
        'select source_token as token from sources',
      )
      const last = Number(tokens[0]?.token)
      expect(last).to.be.within(1, batch)
      const { rows } = await pool.query<{ id: string; pos: number }>(
        'select event_id as id, pos from events order by pos',
      )
      const expected = [...sizes].filter(([n]) => n <= last).flatMap(([, ids]) => ids)
      expect(rows.map(({ id }) => id)).to.deep.equal(expected)
      const { rows: heads } = await pool.query<{ head: number }>('select head from stream')
      expect(heads[0]?.head).to.equal(rows.at(-1)?.pos)
    } finally {
      await pool.end()
    }
    // It had these destinations at the moment of the dump: in the copy nobody does.
    await daemon.stop()
    const copy = await world.start(undefined, { ...world.config, database: { kind: 'url', url } })
    const later = world.event(ROOM)
    await world.ingest([later.item])
    await until(() => remote.received.has(later.eventId), { what: 'an event from the copy' })
    expect(remote.violations).to.deep.equal([])
    await copy.stop()
  })
})
