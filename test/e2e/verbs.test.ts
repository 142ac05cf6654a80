/**
 * What an operator does to a destination, by the command line and by HTTP, while one process has the API and another one sends: each verb is
 * told to the one and seen at a remote server that the other one serves.
 */
import { expect } from 'chai'
import { matrixError, ok } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { runCommand } from '../cli/admin/run-command.ts'
import { until } from '../support/poll.ts'
import { HOUR, makeStage, type Running, type Stage, type Tree } from './hangup-stage.ts'
import { loopbackAuthority, TOKENS } from './world.ts'

const ADDRESS = '127.0.0.2'
type Verb = 'wake' | 'reset' | 'pause' | 'resume' | 'skip' | 'block' | 'unblock'

describe('an operator, with a process that has the API and one that sends', function () {
  this.timeout(180_000)
  let stage: Stage
  let api: Running
  /** What the verbs are tried on, and one that shows that something was sent meanwhile. */
  let remote: FakeHomeserver
  let other: FakeHomeserver

  beforeEach(async () => {
    stage = await makeStage()
    const { ca } = await loopbackAuthority()
    // A block names it by its address.
    remote = await stage.remote(await ca.issue({ ips: [ADDRESS] }), ADDRESS)
    other = await stage.remote()
    api = await stage.start(['--role', 'ingest,housekeep'])
    await stage.start(['--role', 'deliver', '--listen', '127.0.0.1:0'])
  })
  afterEach(() => stage.end())

  const command = async (...args: string[]) => {
    const { status, out, error } = await runCommand(stage.world.dir, [
      ...args,
      ...['--url', api.address, '--token', TOKENS.admin],
    ])
    expect([status, error], args.join(' ')).to.deep.equal([0, ''])
    return out
  }
  const call = async (method: string, path: string, body?: Tree) => {
    const answer = await api.ask(path, TOKENS.admin, method, body && JSON.stringify(body))
    expect(answer.status, path).to.equal(200)
    return answer.body
  }
  const byHttp = async (verb: Verb, { serverName }: FakeHomeserver) => {
    if (verb === 'block') await call('POST', '/v1/blocks', { glob: ADDRESS })
    else if (verb === 'unblock') await call('DELETE', `/v1/blocks?glob=${ADDRESS}`)
    else await call('POST', `/v1/destinations/${serverName}/${verb}`)
  }
  const byCommand = async (verb: Verb, { serverName }: FakeHomeserver) => {
    await command(verb, verb === 'block' || verb === 'unblock' ? ADDRESS : serverName)
  }

  for (const [way, act, owed] of [
    [
      'the command line',
      byCommand,
      async () => /\b(\d+) PDUs?\b/.exec(await command('skip', remote.serverName, '--dry-run'))?.[1],
    ],
    [
      'HTTP',
      byHttp,
      async () =>
        String(
          (await call('POST', `/v1/destinations/${remote.serverName}/skip`, { dry_run: true }))[
            'pending_pdus'
          ],
        ),
    ],
  ] as const) {
    it(`by ${way}: pause, resume, wake, reset, skip, block, unblock`, async () => {
      const { has, failed, row } = stage
      const tell = async () => {
        const event = await api.tell(remote, other)
        await has(other, event)
        return event
      }
      /** While others get one event after the other, it gets none. The first of them. */
      const passedOver = async () => {
        const events = [await tell(), await tell(), await tell()]
        expect(events.filter((event) => remote.received.has(event))).to.deep.equal([])
        return events[0] ?? ''
      }
      await has(remote, await tell())

      await act('pause', remote)
      expect(await api.stateOf(remote)).to.equal('paused')
      const paused = await passedOver()
      await act('resume', remote)
      await has(remote, paused)

      remote.behave(matrixError(500, 'M_FIRST'))
      const late = await tell()
      await failed(remote, /M_FIRST/)
      const before = await row(remote, 'retry_at')
      remote.behave(matrixError(500, 'M_SECOND'))
      await act('wake', remote)
      await failed(remote, /M_SECOND/)
      expect([await row(remote, 'failures'), await row(remote, 'retry_at')]).to.deep.equal([1, before])
      remote.behave(matrixError(500, 'M_THIRD'))
      await act('reset', remote)
      await failed(remote, /M_THIRD/)
      expect(await row(remote, 'failures'), 'the first anew').to.equal(1)
      expect(Number(await row(remote, 'retry_at'))).to.be.above(Number(before))
      expect(await row(remote, 'retry_interval')).to.equal(HOUR)
      remote.behave(ok)
      await act('wake', remote)
      await has(remote, late)

      remote.behave(matrixError(500, 'M_DOWN'))
      const skipped = await tell()
      await failed(remote, /M_DOWN/)
      expect(await owed()).to.equal('1')
      await act('skip', remote)
      await until(
        async () => (await stage.world.pool.query('select from open_transactions')).rowCount === 0,
        {
          what: 'nothing to be unanswered',
        },
      )
      remote.forgive()
      remote.behave(ok)
      await act('reset', remote)
      await has(remote, await tell())
      expect(remote.received.has(skipped)).to.equal(false)
      const why = await command('explain', skipped, '--destination', remote.serverName)
      expect(why).to.match(/skipped[^]*an operator \(admin\) gave up/)

      await act('block', remote)
      expect(await api.stateOf(remote)).to.equal('blocked')
      // Every process has heard of it by then.
      const since = performance.now()
      await until(() => performance.now() - since > 2_000, { what: 'two seconds' })
      const blocked = await passedOver()
      await act('unblock', remote)
      await has(remote, blocked)

      const acts = ((await call('GET', '/v1/audit'))['audit'] as { who: string; action: string }[]).reverse()
      expect(acts.map(({ who, action }) => `${who} ${action}`)).to.deep.equal([
        ...['admin pause', 'admin resume', 'admin wake', 'admin reset', 'admin wake', 'admin skip'],
        ...['admin reset', 'admin block', 'admin unblock'],
      ])
      for (const one of [remote, other]) {
        expect(one.violations).to.deep.equal([])
        expect(one.mostOpenAtOnce).to.equal(1)
      }
    })
  }
})
