import { expect } from 'chai'
import { readEdu } from '../../../src/simulate/fleet/edu-form.ts'
import { makeDice } from '../../../src/simulate/story/dice.ts'
import { makeEduTalk } from '../../../src/simulate/story/edu-talk.ts'
import { lifeOf } from '../../../src/simulate/story/edu-told.ts'
import type { EduToTell } from '../../../src/simulate/story/edu-told.ts'

const ROOMS = ['!a:us.example', '!b:us.example', '!c:us.example']
const SERVERS = ['one.example', 'two.example:8448']

function talkOf(seed: number) {
  return makeEduTalk({
    ...{ dice: makeDice(seed), serverName: 'us.example', roomIds: ROOMS, servers: SERVERS, now: () => 1000 },
  })
}
const ofType = (items: readonly EduToTell[], type: string) => items.filter((item) => item.edu_type === type)
const contents = (items: readonly EduToTell[], type: string) =>
  ofType(items, type).map(({ content }) => content)

describe('traffic of EDUs', () => {
  const talk = talkOf(1)
  const said = talk.say(3000)

  it('is the same for the same seed, and another for another', () => {
    expect(talkOf(1).say(200)).to.deep.equal(said.slice(0, 200))
    expect(talkOf(2).say(200)).to.not.deep.equal(said.slice(0, 200))
  })

  it('is of every kind, each well-formed, for rooms or for destinations', () => {
    for (const { type, edu_type, content, rooms, destinations, ...more } of said) {
      expect([type, more]).to.deep.equal(['edu', {}])
      const value = JSON.parse(JSON.stringify(content)) as unknown
      expect(readEdu({ edu_type, content: value }, 'us.example').fault, edu_type).to.equal(null)
      expect([rooms, destinations].filter((one) => one === undefined)).to.have.length(1)
      for (const room of rooms ?? []) expect(ROOMS).to.include(room)
      for (const server of destinations ?? []) expect(SERVERS).to.include(server)
    }
    expect([...new Set(said.map(({ edu_type }) => edu_type))].sort()).to.deep.equal([
      ...['m.device_list_update', 'm.direct_to_device', 'm.presence', 'm.receipt', 'm.signing_key_update'],
      ...['m.typing', 'org.matrix.signing_key_update'],
    ])
    expect(ofType(said, 'm.signing_key_update')).to.have.length(
      ofType(said, 'org.matrix.signing_key_update').length,
    )
  })

  it('names in typing and receipts exactly the room of their content', () => {
    for (const { content, rooms } of ofType(said, 'm.typing'))
      expect(rooms).to.deep.equal([content['room_id']])
    for (const { content, rooms } of ofType(said, 'm.receipt'))
      expect(rooms).to.deep.equal(Object.keys(content))
  })

  it('has a message id for each to-device message that no other has, also in another run', () => {
    const ids = [
      ...contents(said, 'm.direct_to_device'),
      ...contents(talkOf(2).say(3000), 'm.direct_to_device'),
    ].map((content) => content['message_id'])
    expect(ids.length).to.be.above(400)
    expect(new Set(ids).size).to.equal(ids.length)
    for (const { content, destinations } of ofType(said, 'm.direct_to_device')) {
      const [user] = Object.keys(content['messages'] as object)
      expect(user!.endsWith(`:${destinations![0]!}`)).to.equal(true)
    }
  })

  it('has an unbroken chain of device list updates for each user, and deletes devices that there were', () => {
    const last = new Map<unknown, unknown>()
    const devices = new Set<unknown>()
    for (const content of contents(said, 'm.device_list_update')) {
      const user = content['user_id']
      const before = last.get(user)
      expect(content['prev_id']).to.deep.equal(before === undefined ? [] : [before])
      expect(content['stream_id']).to.be.above(Number(before ?? 0))
      last.set(user, content['stream_id'])
      if (content['deleted'] === true) expect(devices.has(content['device_id'])).to.equal(true)
      devices.add(content['device_id'])
    }
    expect(last.size).to.be.above(10)
  })

  it('turns typing on and off, and off everywhere at the end', () => {
    const is = new Map<string, boolean>()
    for (const content of contents([...said, ...talk.stopTyping()], 'm.typing')) {
      const key = `${String(content['room_id'])} ${String(content['user_id'])}`
      expect(content['typing']).to.equal(is.get(key) !== true)
      is.set(key, content['typing'] === true)
    }
    expect([...is.values()])
      .to.include(false)
      .and.not.include(true)
    expect(talk.stopTyping()).to.deep.equal([])
  })

  it('lasts as long as the contract says', () => {
    const life = (edu_type: string, content = {}) => lifeOf({ type: 'edu', edu_type, content })
    expect([life('m.direct_to_device'), life('m.device_list_update')]).to.deep.equal([null, null])
    expect([life('m.signing_key_update'), life('org.matrix.signing_key_update')]).to.deep.equal([null, null])
    expect([life('m.receipt'), life('m.presence'), life('x')]).to.deep.equal([86_400_000, 600_000, 3_600_000])
    expect([life('m.typing', { typing: true }), life('m.typing', { typing: false })]).to.deep.equal([
      ...[60_000, 120_000],
    ])
  })

  it('needs rooms and servers', () => {
    const needs = { dice: makeDice(1), serverName: 'us.example', now: () => 0 }
    expect(() => makeEduTalk({ ...needs, roomIds: [], servers: SERVERS })).to.throw(RangeError)
    expect(() => makeEduTalk({ ...needs, roomIds: ROOMS, servers: [] })).to.throw(RangeError)
  })
})
