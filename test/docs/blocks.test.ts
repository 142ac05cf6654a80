/**
 * Every block of commands that a page shows is run as it stands there, in the order of the page. A new block needs nothing where its page has a
 * story; a page without one turns this red.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { makeProducer } from '../../src/client/client.ts'
import { makePdu } from '../../src/matrix/make-pdu.ts'
import { readSigningKey } from '../../src/matrix/signing.ts'
import { openPool } from '../../src/store/db.ts'
import { freshDatabase } from '../support/postgres.ts'
import { sharedRedis } from '../support/redis.ts'
import { blocksOf, commandsOf, pagesOf } from './blocks.ts'
import { setPageStage, type PageStage, type Run } from './stage.ts'

interface Story extends Run {
  /** It starts its own limpet; else one runs. */
  readonly starts?: boolean
  /** It begins in a folder in which nothing is installed. */
  readonly installs?: boolean
  /** What one block starts has ended before the next one. */
  readonly stopsBetween?: boolean
  readonly before?: (context: Mocha.Context) => Promise<Run>
}

/** Blocks that are run elsewhere, or nowhere. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'ops/systemd/README.md': 'as root on a machine of its own: npm run test:packaging',
  'ops/README.md': 'its Containerfile likewise; podman is nowhere in the tests',
  'docs/embedded.md': "needs PostgreSQL's psql, which npm does not have",
}

const ROOM = '!call:example.org'
const STICKY_MS = 600_000
/** Ask a public server, or for what is nowhere. */
const ASKS_OUTSIDE = /--online|^discover/

let stage: PageStage
let eventId = ''

const STORIES: Readonly<Record<string, Story>> = {
  'README.md': {
    ...{ starts: true, installs: true, mayFail: ASKS_OUTSIDE },
    instead: {
      "'$eVeNtId'": `"$(sed -n 's/.*"event_id":"\\([^"]*\\)".*/\\1/p' limpet-data/receive/first-event.json)"`,
    },
  },
  'CONTRIBUTING.md': {},
  'docs/chaos.md': {},
  'docs/model-test.md': {},
  'docs/backup.md': {
    before: async () => ({
      instead: {
        'postgres://limpet:PASSWORD@db.example/limpet': (await freshDatabase({ migrated: false })).url,
      },
    }),
  },
  'docs/guides/integrate.md': { starts: true, installs: true },
  'docs/guides/memberships.md': {},
  'docs/guides/edus.md': {},
  'docs/guides/change-over.md': { starts: true, stopsBetween: true, mayFail: ASKS_OUTSIDE },
  'docs/guides/upgrade.md': {},
  'docs/guides/processes.md': { starts: true },
  'docs/guides/queue.md': {
    before: async (context) => ({ instead: { 'redis://127.0.0.1:6379': (await sharedRedis(context)).url } }),
  },
  'docs/guides/troubleshooting.md': {},
  'docs/guides/questions.md': { mayFail: ASKS_OUTSIDE },
  'ops/runbook.md': {},
}

describe('the commands of the pages', function () {
  this.timeout(120_000)
  before(async () => {
    stage = await setPageStage()
    await run('limpet init --server-name example.org')
    await run('limpet run')
    await feed()
  })
  after(() => stage.remove())

  // Those for which one runs come first.
  const startsLast = (page: string) => (STORIES[page]?.starts === true ? 1 : 0)
  for (const page of pagesOf().sort((a, b) => startsLast(a) - startsLast(b))) {
    const shell = commandsOf(page)
    if (shell.length === 0 || page in ELSEWHERE) continue
    it(page, async function () {
      const story = STORIES[page]
      if (story === undefined) return expect.fail('it has commands, and no story here')
      const more = await story.before?.(this)
      if (story.starts === true) await run('systemctl stop limpet')
      else await startUnlessItRuns()
      const installed =
        story.installs === true ? { folder: `new/${page}`, databaseUrl: (await freshDatabase()).url } : {}
      const instead = { ...story.instead, $eVeNtId: eventId, ...more?.instead }
      for (const text of shell) {
        await run(text, { ...story, ...installed, instead })
        if (story.stopsBetween === true) await run('systemctl stop limpet')
      }
      if (story.starts === true) await run('systemctl stop limpet')
    })
  }

  it('in SQL', async () => {
    const pool = openPool({ url: stage.database, max: 1 })
    const statements = pagesOf()
      .filter((page) => page.startsWith('ops/'))
      .flatMap((page) => blocksOf(page).filter(({ language }) => language === 'sql'))
    for (const { text } of statements) await pool.query(text)
    await pool.end()
    expect(statements).not.to.deep.equal([])
  })
})

async function run(text: string, how: Run = {}): Promise<void> {
  const { status, said } = await stage.run(text, how)
  expect(status, `${text}\n\n${said}`).to.equal(0)
}

async function startUnlessItRuns(): Promise<void> {
  const ready = await fetch(`${stage.url}/health/ready`).then(
    ({ ok }) => ok,
    () => false,
  )
  if (!ready) await run('systemctl start limpet')
}

/** What the pages speak of is there: two servers, a room with a call, an event of it, which one of the servers sets aside. */
async function feed(): Promise<void> {
  const key = readSigningKey(readFileSync(join(stage.folder, 'limpet-data/example.org.signing.key'), 'utf8'))
  const made = makePdu(
    {
      ...{ roomId: ROOM, type: 'org.matrix.msc4143.rtc.member', sender: '@alice:example.org' },
      originServerTs: Date.now(),
      more: { msc4354_sticky: { duration_ms: STICKY_MS } },
    },
    key,
    '11',
  )
  eventId = made.eventId
  const producer = makeProducer({ url: stage.url, token: stage.token() })
  await producer.ingest([
    { type: 'servers', room_id: ROOM, set: ['b.example', 'gone.example'] },
    { type: 'event', room_id: ROOM, room_version: '11', event_id: eventId, pdu: made.pdu },
  ])
}
