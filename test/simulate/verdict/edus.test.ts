import { expect } from 'chai'
import { readEdu } from '../../../src/simulate/fleet/edu-form.ts'
import { makeEduMemory } from '../../../src/simulate/fleet/edu-memory.ts'
import { partsOf } from '../../../src/simulate/fleet/edu-parts.ts'
import type { ToldEdu } from '../../../src/simulate/story/edu-told.ts'
import type { Told } from '../../../src/simulate/story/record.ts'
import { makeEduClaims } from '../../../src/simulate/verdict/edu-claims.ts'
import { judgeEdus } from '../../../src/simulate/verdict/edus.ts'
import type { EduRules, EduVerdict } from '../../../src/simulate/verdict/edus.ts'
import { origin } from '../../wire/setting.ts'
import { deviceList, presence, receipt, signingKeys, toDevice, typing, ALICE } from '../fleet/edus.ts'
import type { AnEdu } from '../fleet/edus.ts'
import { clean, join, leave, ROOM, said, SERVER, START } from './stage.ts'

const BOB = `@bob:${SERVER}`
const MINUTE = 60_000

/** What limpet was told: an EDU of rooms (default: the one), or of destinations. */
function told(
  edu: AnEdu,
  { rooms = [ROOM], to = undefined as string[] | undefined, at = START } = {},
): ToldEdu {
  const whom = to === undefined ? { rooms } : { destinations: to }
  return {
    kind: 'edu',
    at,
    takenAt: at + 1,
    item: { type: 'edu', ...edu, content: { ...edu.content }, ...whom },
  }
}
const message = (id: string) => told(toDevice(id, BOB), { to: [SERVER] })
const inRoom = { room: ROOM }

/** The verdict on the one server, which got these transactions. */
function verdictOn(
  story: readonly (Told | ToldEdu)[],
  sent: readonly (readonly AnEdu[])[],
  { rules = {}, originServerTs = START + 5, most = 1000 } = {},
): EduVerdict {
  const edus = makeEduMemory({ destination: SERVER, most })
  for (const [index, transaction] of sent.entries()) {
    const read = transaction
      .map((edu) => readEdu({ ...edu }, origin))
      .map((edu) => ({ ...edu, parts: partsOf(edu) }))
    edus.take(read, {
      txnId: `t${index}`,
      at: originServerTs + index,
      originServerTs: originServerTs + index,
    })
  }
  const usual: EduRules = { dead: new Set(), lossy: new Set() }
  return judgeEdus(makeEduClaims(origin, story), { serverName: SERVER, edus }, { ...usual, ...rules })
}
const none = { ...clean, stale: [] }

// A verdict that forgives is worth nothing: each of its rules is broken here once.
describe('the verdict on EDUs', () => {
  const a = toDevice('a', BOB)
  const b = toDevice('b', BOB)
  const messages = [join(), message('a'), message('b')]

  it('is clean where everybody got what is theirs, packed as it likes', () => {
    const updates = presence([ALICE, 'online'], [`@bea:${origin}`, 'offline'])
    const story = [
      ...[
        join(),
        said('x'),
        message('a'),
        told(typing(true, inRoom)),
        told(updates),
        told(deviceList(1, [])),
      ],
      ...[
        told(receipt('$1', 'main', inRoom)),
        told(receipt('$2', null, inRoom)),
        told(typing(false, inRoom)),
      ],
      ...[told(signingKeys('k')), told({ edu_type: 'org.example', content: {} })],
    ]
    const sent = [
      [a, presence([`@bea:${origin}`, 'offline'])],
      [
        presence([ALICE, 'online']),
        receipt('$1', 'main', inRoom),
        receipt('$2', null, inRoom),
        signingKeys('k'),
      ],
      [deviceList(1, []), typing(false, inRoom)],
    ]
    expect(verdictOn(story, sent)).to.deep.include({ ...none, owed: 2, received: 2, repeats: 0, resyncs: 0 })
  })

  it('names the to-device message that is missing', () => {
    expect(verdictOn(messages, [[a]])).to.deep.include({ missing: [`to-device ${ALICE} b`], received: 1 })
    expect(verdictOn(messages, [[a]], { rules: { setAside: new Set(['b']) } }).missing).to.deep.equal([])
    expect(verdictOn(messages, [[a]], { rules: { dead: new Set([SERVER]) } })).to.deep.include({
      ...none,
      pending: 1,
    })
    expect(verdictOn(messages, [[a]], { rules: { lossy: new Set([SERVER]) } }).missing).to.have.length(1)
  })

  it('does not call missing what the server may have forgotten', () => {
    const three = [...messages, message('c')]
    expect(verdictOn(three, [[a, b, toDevice('c', BOB)]], { most: 2 })).to.deep.include(none)
  })

  it('sees disorder, and one that comes twice', () => {
    expect(verdictOn(messages, [[b, a]]).faults).to.deep.equal([
      `to-device ${ALICE} b came out of stream order`,
    ])
    expect(verdictOn(messages, [[b], [a]], { rules: { setAside: new Set(['a']) } }).faults).to.deep.equal([])
    const twice = verdictOn(messages, [[a, b], [a]])
    expect(twice).to.deep.include({
      ...{ missing: [], repeats: 1, faults: [`message a of ${ALICE} came again in transaction t1`] },
    })
    const rules = { mayRepeat: true }
    expect(verdictOn(messages, [[a, b], [a]], { rules })).to.deep.include({ ...none, repeats: 1 })
    expect(verdictOn(messages, [[a, b, a]], { rules }).faults).to.have.length(1)
  })

  it('gives an EDU of rooms to those that are in them at its point, and no others', () => {
    const update = deviceList(1, [])
    const after = [join(), leave(), told(update), told(typing(true, inRoom))]
    expect(verdictOn(after, [])).to.deep.include(none)
    expect(verdictOn(after, [[update, typing(true, inRoom)]]).notEntitled).to.deep.equal([
      ...[`device list ${ALICE} 1`, `typing ${ROOM} ${ALICE} true`],
    ])
    const before = [join(), told(update), leave()]
    expect(verdictOn(before, [[update]])).to.deep.include(none)
    expect(verdictOn(before, []).missing).to.have.length(1)
    const two = told(update, { rooms: [ROOM, '!other:us'] })
    expect(verdictOn([join(), join('!other:us'), two], [[update]])).to.deep.include({ ...none, owed: 1 })
  })

  it('sees what is another server’s, what nobody told, and what was changed', () => {
    const theirs = told(a, { to: ['two.example'] })
    expect(verdictOn([join(), theirs], [[a]]).notEntitled).to.deep.equal([`to-device ${ALICE} a`])
    expect(verdictOn([join()], [[receipt('$1', null, inRoom)]]).notEntitled).to.have.length(1)
    const changed = verdictOn([join(), told(presence([ALICE, 'online']))], [[presence([ALICE, 'offline'])]])
    expect(changed.notEntitled).to.deep.equal([`presence ${ALICE} offline -`])
  })

  it('wants device list updates in an unbroken chain, unless so many wait that the last alone goes', () => {
    const chain = (length: number) =>
      Array.from({ length }, (_, index) => deviceList(index + 1, index < 1 ? [] : [index]))
    const story = (length: number) => [join(), ...chain(length).map((one) => told(one))]
    expect(verdictOn(story(3), [[chain(3)[0]!, chain(3)[2]!]])).to.deep.include({
      ...{ missing: [`device list ${ALICE} 2`], resyncs: 1, leftOut: 0 },
    })
    expect(verdictOn(story(21), [[chain(21)[20]!]])).to.deep.include({ ...none, leftOut: 20, resyncs: 1 })
    expect(verdictOn(story(20), [[chain(20)[19]!]]).missing).to.have.length(19)
    expect(verdictOn(story(21), [chain(21).slice(0, 1)]).missing).to.have.length(20)
  })

  it('wants the newest of each key: a receipt a thread, a presence, keys, and that typing ends', () => {
    const first = [
      typing(true, inRoom),
      receipt('$1', 'main', inRoom),
      presence([ALICE, 'online']),
      signingKeys('k'),
    ]
    const then = [
      typing(false, inRoom),
      receipt('$2', 'main', inRoom),
      presence([ALICE, 'offline']),
      signingKeys('l'),
    ]
    const story = [join(), ...[...first, ...then].map((edu) => told(edu))]
    expect(verdictOn(story, [then])).to.deep.include(none)
    expect(verdictOn(story, [first, then])).to.deep.include(none)
    const { stale } = verdictOn(story, [first])
    expect(stale.map((name) => name.split(' ')[0])).to.deep.equal([
      'typing',
      'receipt',
      'presence',
      'signing',
    ])
    expect(stale[0]).to.equal(`typing ${ROOM} ${ALICE} false`)
    expect(verdictOn(story, [then, first]).stale).to.have.length(4)
    expect(verdictOn(story, []).stale).to.have.length(4)
    // The keys are durable.
    expect(verdictOn(story, [], { rules: { lossy: new Set([SERVER]) } }).stale).to.have.length(1)
  })

  it('sees what was put into a transaction after its time', () => {
    const story = [join(), told(typing(true, inRoom)), message('a')]
    const late = { originServerTs: START + 1 + MINUTE }
    const [fault] = verdictOn(story, [[typing(true, inRoom), a]], late).faults
    expect(fault).to.equal(`typing ${ROOM} ${ALICE} true was put into transaction t0 after its time`)
    const early = { originServerTs: START + MINUTE }
    expect(verdictOn(story, [[typing(true, inRoom), a]], early)).to.deep.include(none)
  })

  it('wants the unthreaded receipt last', () => {
    const story = [join(), told(receipt('$1', 'main', inRoom)), told(receipt('$2', null, inRoom))]
    expect(
      verdictOn(story, [[receipt('$2', null, inRoom), receipt('$1', 'main', inRoom)]]).faults,
    ).to.deep.equal(['1 receipts of threads came behind the unthreaded one'])
  })
})
