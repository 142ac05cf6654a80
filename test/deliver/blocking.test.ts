/** Who is blocked, as one process knows it: the answers of the database and the time are the test's. */
import { expect } from 'chai'
import { makeVetDomain } from '../../src/allow/domains.ts'
import { makeBlocking } from '../../src/deliver/blocking.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import type { Log } from '../../src/observe/log.ts'
import type { Pool } from '../../src/store/db.ts'
import { handClock, settled } from '../discovery/hand-clock.ts'

function stage({ denylist = [] }: { denylist?: string[] } = {}) {
  const clock = handClock()
  const list = { version: 'v0', globs: [] as string[] }
  const lines: string[] = []
  let away = false
  let asked = 0
  /** Answers wait for it, where there is one. */
  let late: Promise<void> | null = null

  async function query(_text: string, [known]: [string | null]) {
    asked += 1
    if (away) throw new Error('the database is away')
    const { version, globs } = list
    if (late !== null) await late
    const none = { version, glob: null, reason: null, who: null, at: null }
    const rows = globs.map((glob) => ({ version, glob, reason: null, who: 'alice', at: 0 }))
    return { rows: version === known || rows.length === 0 ? [none] : rows }
  }
  const line = (...given: unknown[]) => void lines.push(String(given.at(-1)))
  const blocking = makeBlocking({
    pool: { query } as unknown as Pool,
    configured: denylist.length === 0 ? null : makeVetDomain({ allowlist: null, denylist }),
    clock,
    log: { info: line, warn: line, error: line } as unknown as Log,
  })
  return {
    ...{ blocking, clock, lines, asked: () => asked },
    block: (version: string, ...globs: string[]) => {
      list.version = version
      list.globs = globs
    },
    away: (is: boolean) => (away = is),
    wait: (until: Promise<void> | null) => {
      late = until
    },
  }
}

describe('whom a process does not send to', () => {
  it('is asked of the database every second, and what it says counts at once', async () => {
    const { blocking, clock, block, asked } = stage()
    await blocking.read()
    const stopping = new AbortController()
    const running = blocking.run(stopping.signal)
    block('v1', '*.bad.example')
    await clock.move(999)
    expect([blocking.isBlocked('a.bad.example'), asked()]).to.deep.equal([false, 1])
    await clock.move(1)
    expect([blocking.isBlocked('a.bad.example'), asked()]).to.deep.equal([true, 2])
    const list = blocking.now()
    await clock.move(1_000)
    expect(blocking.now(), 'the same list').to.equal(list)
    block('v2')
    await clock.move(1_000)
    expect(blocking.isBlocked('a.bad.example')).to.equal(false)
    expect(list('a.bad.example' as ServerName), 'what was in force').to.match(
      /^\*\.bad\.example is blocked by/,
    )
    stopping.abort()
    await running
    await clock.move(5_000)
    expect(asked()).to.equal(4)
  })

  it('stays blocked while the database does not answer, which is told once', async () => {
    const { blocking, clock, block, away, lines } = stage()
    block('v1', 'bad.example')
    await blocking.read()
    const stopping = new AbortController()
    const running = blocking.run(stopping.signal)
    away(true)
    for (let seconds = 0; seconds < 5; seconds += 1) await clock.move(1_000)
    expect(blocking.isBlocked('bad.example')).to.equal(true)
    expect(lines).to.deep.equal(['asking whom operators block failed; trying again'])
    away(false)
    block('v2')
    await clock.move(1_000)
    expect(blocking.isBlocked('bad.example')).to.equal(false)
    stopping.abort()
    await running
  })

  it('is not what an older answer says that comes late', async () => {
    const { blocking, block, wait } = stage()
    await blocking.read()
    block('v1', 'bad.example')
    let come: () => void = () => undefined
    wait(new Promise((resolve) => (come = resolve)))
    const older = blocking.read()
    await settled()
    block('v2')
    wait(null)
    const newer = blocking.read()
    await settled()
    come()
    await Promise.all([older, newer])
    expect(blocking.isBlocked('bad.example')).to.equal(false)
  })

  it('has what is under way stopped: of those that a change names, and of no others', async () => {
    const { blocking, block } = stage()
    block('v1', 'bad.example')
    await blocking.read()
    const stopped: string[] = []
    const watch = (name: string) => blocking.whenBlocked(name, () => void stopped.push(name))
    blocking.onChange(() => void stopped.push('heard'))
    watch('bad.example')
    expect(stopped, 'one that is blocked already').to.deep.equal(['bad.example'])
    watch('a.worse.example')
    watch('good.example')
    const ended = watch('b.worse.example')
    ended()
    block('v2', '*.worse.example')
    await blocking.read()
    expect(stopped).to.deep.equal(['bad.example', 'a.worse.example', 'heard'])
    await blocking.read()
    expect(stopped).to.have.length(3)
  })

  it('is whom the configuration names, too, and its reason goes first: to unblock would change nothing', async () => {
    const { blocking, block } = stage({ denylist: ['bad.example'] })
    await blocking.read()
    expect(blocking.why.blocksNobody?.()).to.equal(false)
    block('v1', '*.example')
    await blocking.read()
    expect(blocking.why('bad.example' as ServerName)).to.equal('bad.example is in federation.domain_denylist')
    expect(blocking.why('a.example' as ServerName)).to.match(/^\*\.example is blocked by alice/)
  })

  it('is whom another configuration names from one moment to the next, beside the blocks', async () => {
    const { blocking, block } = stage({ denylist: ['*.old.example'] })
    block('v1', 'blocked.example')
    await blocking.read()
    const stopped: string[] = []
    for (const name of ['a.old.example', 'a.new.example', 'other.example'])
      blocking.whenBlocked(name, () => stopped.push(name))
    const changes: boolean[] = []
    blocking.onChange(() => changes.push(blocking.isBlocked('a.new.example')))
    expect(stopped).to.deep.equal(['a.old.example'])
    const before = blocking.now()
    blocking.configure(makeVetDomain({ allowlist: null, denylist: ['*.new.example'] }))
    expect(stopped).to.deep.equal(['a.old.example', 'a.new.example'])
    expect(changes).to.deep.equal([true])
    expect(blocking.now()).not.to.equal(before)
    const blocked = ['a.old.example', 'a.new.example', 'blocked.example', 'other.example']
    expect(blocked.map((name) => blocking.isBlocked(name))).to.deep.equal([false, true, true, false])
    blocking.configure(null)
    expect(blocked.map((name) => blocking.isBlocked(name))).to.deep.equal([false, false, true, false])
    block('v2')
    await blocking.read()
    expect(blocking.now().blocksNobody?.()).to.equal(true)
  })

  it('is nobody where nobody is named, and a block that is no glob keeps no other from counting', async () => {
    const { blocking, block, lines } = stage()
    await blocking.read()
    expect(blocking.why.blocksNobody?.()).to.equal(true)
    expect(blocking.why('whatever this is' as ServerName)).to.equal(null)
    block('v1', 'no glob', 'bad.example')
    await blocking.read()
    expect(blocking.isBlocked('bad.example')).to.equal(true)
    expect(lines).to.deep.equal(['a block in the database is no glob, and blocks nobody'])
  })
})
