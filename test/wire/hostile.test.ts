import { expect } from 'chai'
import { answers } from '../support/hostile-answers.ts'
import { startHostileRemotes, type HostileRemotes } from '../support/hostile-remote.ts'
import { watchLiveMemory } from '../support/live-memory.ts'
import { watchForStalls } from '../support/stall.ts'
import { useSetting } from './setting.ts'

/** A system keeps what was written and not read: on loopback up to some megabytes. Without a limit it is hundreds. */
const KEPT_BY_THE_SYSTEM = 12 * 1024 * 1024
const TIMEOUT_MS = 4_000
const LAG_MS = 200
/** Of hundreds at once: 50 to 80 on a quiet machine, 1,600 where nothing gives others their turn. */
const LAG_OF_MANY_MS = 500

/** No time-out, of a request or of the test, decides what comes of hundreds at once, however busy the machine is: with six other processes they take a minute. */
const NEVER_MS = 600_000

/** Of these there are 64 each. */
const MANY = [
  '4 MiB of keys',
  '256 KiB of keys',
  'chunks of one byte',
  'headers',
  'trailers',
  'informational answers',
]

const protocol = { kind: 'failed', stage: 'protocol', handed: true }
const TOO_LARGE = { ...protocol, message: 'the answer is larger than 256 KiB' }
const listed = (error: string) => new Map([['$a', { error }]])

describe('whatever a server answers is an outcome, and costs no more than an answer may', () => {
  const setting = useSetting()
  let remotes: HostileRemotes | null = null
  after(() => remotes?.close())

  const outcomes: Record<string, object> = {
    '4 MiB of keys': TOO_LARGE,
    '256 KiB of keys': { kind: 'answered' },
    'a nested error': { kind: 'answered' },
    'an error of escapes': { kind: 'answered' },
    'a refusal of escapes': {
      ...{ kind: 'failed', stage: 'http', status: 403, errcode: ']0;x [2J' },
      message: 'answered 403 ]0;x [2J: ]0;x [2J x',
    },
    'nested to the end': { ...protocol, message: 'answered 200 without a JSON object' },
    'informational answers': TOO_LARGE,
    'eleven informational answers': TOO_LARGE,
    'extensions of a chunk': TOO_LARGE,
    'a chunk with an extension': TOO_LARGE,
    'chunks of one byte': TOO_LARGE,
    'trailers of spaces': TOO_LARGE,
    trailers: protocol,
    'headers of spaces': TOO_LARGE,
    'one header': protocol,
    headers: protocol,
    'odd headers': { kind: 'answered' },
    'a reason': TOO_LARGE,
    'empty lines': TOO_LARGE,
    'a body without a length': TOO_LARGE,
    'an error without a length': { kind: 'failed', stage: 'http', status: 500 },
    'a body in a million pieces': TOO_LARGE,
    'more than its length': { kind: 'answered' },
    'a second answer': { kind: 'answered' },
    zeros: protocol,
    'slow bytes': { kind: 'failed', stage: 'timeout', handed: true },
    'slow informational answers': { kind: 'failed', stage: 'timeout', handed: true },
  }

  it('of each kind of answer there is an outcome here', () => {
    expect(Object.keys(outcomes)).to.have.members(Object.keys(answers).filter((name) => name !== 'ordinary'))
  })

  for (const [what, outcome] of Object.entries(outcomes)) {
    it(what, async () => {
      const [name = ''] = (await hostile()).names[what] ?? []
      const { send, connections } = setting().sender()
      await send(name)
      const stalls = watchForStalls()
      const result = await send(name, { timeoutMs: TIMEOUT_MS, eventIds: ['$a'] })
      stalls.stop()
      expect(result, JSON.stringify(result)).to.include(outcome)
      if (what === 'a nested error')
        expect(result).to.have.deep.property('pdus', listed('an error that is not a text'))
      if (what === 'an error of escapes')
        expect(result)
          .to.have.deep.property('pdus')
          .that.satisfies((pdus: Map<string, { error: string }>) =>
            /^[\]0;x[2J ]+…$/.test(pdus.get('$a')?.error ?? ''),
          )
      expect(stalls.longestMs(), 'lag').to.be.below(LAG_MS)
      expect((await remotes?.written())?.get(name), 'bytes').to.be.below(KEPT_BY_THE_SYSTEM)
      expect(connections.counts(), 'nothing is left under way').to.include({ inUse: 0, opening: 0 })
    })
  }

  it('many at once: each has an outcome, the loop goes on, memory is bounded, and an ordinary server is served', async () => {
    const { names: them } = await hostile()
    const { send } = setting().sender({ maxIdleConnections: 1_000 })
    const [ordinary = ''] = them['ordinary'] ?? []
    await send(ordinary)
    const names = MANY.flatMap((kind) => them[kind] ?? [])
    // Connected before: what handshakes take is another matter.
    await Promise.all(names.map((name) => send(name)))
    const memory = watchLiveMemory(500)
    const stalls = watchForStalls()
    const ended = new AbortController()
    const all = Promise.all(
      names.map((name) => send(name, { eventIds: ['$a'], timeoutMs: NEVER_MS })),
    ).finally(() => ended.abort())
    let served = 0
    while (!ended.signal.aborted) {
      expect(await send(ordinary, { eventIds: ['$a'], timeoutMs: NEVER_MS })).to.include({ kind: 'answered' })
      served += 1
    }
    stalls.stop()
    memory.stop()
    const results = await all
    const kindsOf = new Set(results.map((result) => (result.kind === 'failed' ? result.message : 'answered')))
    expect(results).to.have.length(MANY.length * 64)
    expect([...kindsOf].filter((kind) => /nobody|limpet/.test(kind))).to.deep.equal([])
    expect(served).to.be.greaterThan(0)
    expect(stalls.longestMs(), 'lag').to.be.below(LAG_OF_MANY_MS)
    expect(memory.most() / 2 ** 20, 'MiB more that is held').to.be.below(250)
  }).timeout(NEVER_MS)

  /** All of them, started once: a process takes its time to start. */
  async function hostile(): Promise<HostileRemotes> {
    if (remotes !== null) return remotes
    const count = Object.keys(answers).map((name) => [name, MANY.includes(name) ? 64 : 1])
    remotes = await startHostileRemotes(
      await setting().authority.issue(),
      Object.fromEntries(count) as Record<string, number>,
    )
    await remotes.know(['$a'])
    return remotes
  }
})
