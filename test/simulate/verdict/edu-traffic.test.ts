import { expect } from 'chai'
import { systemClock } from '../../../src/pace/clock.ts'
import type { FakeHomeserver } from '../../../src/simulate/fleet/fake-homeserver.ts'
import { makeTraffic } from '../../../src/simulate/fleet/traffic.ts'
import { makeDice } from '../../../src/simulate/story/dice.ts'
import { makeEduTalk } from '../../../src/simulate/story/edu-talk.ts'
import type { EduToTell } from '../../../src/simulate/story/edu-told.ts'
import { judgeEdus } from '../../../src/simulate/verdict/edus.ts'
import { judgeServer } from '../../../src/simulate/verdict/verdict.ts'
import { origin, useSetting } from '../../wire/setting.ts'
import { bodyOf } from '../fleet/edus.ts'

/** Of a user's receipts in one transaction the unthreaded goes last. */
const isUnthreaded = ({ edu_type, content }: Pick<EduToTell, 'edu_type' | 'content'>) =>
  edu_type === 'm.receipt' && !JSON.stringify(content).includes('thread_id')
/** EDUs of a transaction: full ones, and a rest. */
const FULL = 100

describe('traffic of EDUs from the ingest items to the verdict', () => {
  const setting = useSetting()

  /** Servers 0 and 1 are in the first room, 1 and 2 in the second; `alter` changes what a server is sent. */
  async function played(alter: (items: EduToTell[], index: number) => EduToTell[] = (items) => items) {
    const servers = [await setting().homeserver(), await setting().homeserver(), await setting().homeserver()]
    const names = servers.map(({ serverName }) => serverName)
    const handed: Record<string, unknown>[] = []
    const traffic = makeTraffic({
      ...{ serverName: origin, key: setting().key, clock: systemClock, servers: names },
      ingest: (items) => {
        handed.push(...(items as Record<string, unknown>[]))
        return Promise.resolve()
      },
    })
    const rooms = [
      { room: 0, servers: [0, 1] },
      { room: 1, servers: [1, 2] },
    ]
    await traffic.join(rooms)
    const roomIds = rooms.map(({ room }) => traffic.roomId(room))
    const talk = makeEduTalk({
      ...{ dice: makeDice(5), serverName: origin, roomIds, servers: names, now: () => systemClock.now() },
    })
    await traffic.say(talk.say(400))
    await traffic.say(talk.stopTyping())
    const edus = handed.filter((item) => item['type'] === 'edu') as unknown as EduToTell[]
    expect(traffic.told.every(({ kind }) => kind === 'join')).to.equal(true)
    const { send } = setting().sender()
    for (const [index, { serverName }] of servers.entries()) {
      const mine = rooms.filter((one) => one.servers.includes(index)).map(({ room }) => traffic.roomId(room))
      const own = edus.filter(
        ({ rooms: to, destinations }) =>
          destinations?.includes(serverName) ?? to?.some((room) => mine.includes(room)),
      )
      const items = alter(own, index)
      for (let at = 0; at < items.length; at += FULL) {
        const here = items.slice(at, at + FULL).map(({ edu_type, content }) => ({ edu_type, content }))
        const part = [...here.filter((edu) => !isUnthreaded(edu)), ...here.filter(isUnthreaded)]
        const body = bodyOf(part, { originServerTs: systemClock.now() })
        const result = await send(serverName, { txnId: `t${at}`, body, eventIds: [] })
        expect(result.kind).to.equal('answered')
      }
    }
    const rules = { dead: new Set<string>(), lossy: new Set<string>() }
    const verdicts = servers.map((server) => judgeEdus(traffic.eduClaims, server, rules))
    return { servers, traffic, verdicts }
  }

  it('is clean where each server is sent what is its own', async () => {
    const { servers, traffic, verdicts } = await played()
    for (const [index, verdict] of verdicts.entries()) {
      expect(verdict).to.deep.include({
        missing: [],
        notEntitled: [],
        stale: [],
        faults: [],
        repeats: 0,
        resyncs: 0,
      })
      expect(verdict.owed).to.be.above(10).and.equal(verdict.received)
      const server: FakeHomeserver = servers[index]!
      expect(server.violations).to.deep.equal([])
      const last = judgeServer(traffic.claims, server, {
        ...{
          thresholdPdus: 100,
          minAgeMs: 5000,
          endedAt: systemClock.now(),
          dead: new Set(),
          quietJoins: [],
        },
      })
      expect(last).to.deep.include({ missing: [], notEntitled: [], faults: [] })
    }
    const types = [...servers[1]!.edus.counts.keys()].sort()
    expect(types).to.include.members(['m.typing', 'm.receipt', 'm.presence', 'm.direct_to_device'])
  })

  it('is not where one server is sent less, another in disorder, and the third what is another’s', async () => {
    const isMessage = ({ edu_type }: EduToTell) => edu_type === 'm.direct_to_device'
    let firstOf0: EduToTell | undefined
    const { servers, traffic, verdicts } = await played((items, index) => {
      firstOf0 ??= items.find(isMessage)
      if (index === 0) return items.filter((item) => item !== firstOf0)
      if (index === 1) return items.toReversed()
      return [...items, firstOf0!]
    })
    expect(verdicts[0]!.missing).to.have.length(1)
    expect(verdicts[1]!.faults.length).to.be.above(10)
    expect(verdicts[1]!.resyncs).to.be.above(0)
    expect(verdicts[1]!.stale.length).to.be.above(0)
    expect(verdicts[2]!.notEntitled).to.have.length(2)
    const { notEntitled } = judgeServer(traffic.claims, servers[2]!, {
      ...{ thresholdPdus: 100, minAgeMs: 5000, endedAt: systemClock.now(), dead: new Set(), quietJoins: [] },
    })
    expect(notEntitled.join()).to.match(/^EDU \d+ \(m\.direct_to_device\) of transaction t\d+ is for @reader/)
  })
})
