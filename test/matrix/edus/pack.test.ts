import { expect } from 'chai'
import { packEdus, type EduToPack } from '../../../src/matrix/edus/pack.ts'
import { canonicalFromValue } from '../../../src/matrix/canonical-json.ts'

const NOW = 1_700_000_000_000
const MOST = Number.MAX_SAFE_INTEGER

const part = (eduType: string, content: object, receivedTs = NOW): EduToPack => ({
  eduType,
  content: canonicalFromValue(content),
  receivedTs,
})
const receipt = (user: string, thread?: string, room = '!r', type = 'm.read'): EduToPack => {
  const data = { ts: 1, ...(thread === undefined ? {} : { thread_id: thread }) }
  return part('m.receipt', { [room]: { [type]: { [user]: { data, event_ids: ['$e'] } } } })
}
const presence = (update: object, receivedTs = NOW): EduToPack =>
  part('m.presence', { push: [{ presence: 'online', user_id: '@a:b', ...update }] }, receivedTs)

function packed(parts: readonly EduToPack[], originServerTs = NOW): string[] {
  const packing = packEdus()
  for (const one of parts) expect(packing.join(one)).to.equal(true)
  return packing.texts(originServerTs)
}

describe('the EDUs of a transaction', () => {
  it('are one each, in their order, where nothing can be packed', () => {
    expect(packed([])).to.deep.equal([])
    expect(packed([part('m.typing', { b: 1, a: 'é' }), part('org."x"', {})])).to.deep.equal([
      '{"content":{"a":"é","b":1},"edu_type":"m.typing"}',
      '{"content":{},"edu_type":"org.\\"x\\""}',
    ])
  })

  it('hold the presence of up to 50 users', () => {
    const users = Array.from({ length: 101 }, (_, i) => presence({ user_id: `@${i}:b` }))
    const sizes = packed(users).map((text) => {
      return (JSON.parse(text) as { content: { push: unknown[] } }).content.push.length
    })
    expect(sizes).to.deep.equal([50, 50, 1])
    expect(packed(users)[0]).to.match(/^\{"content":\{"push":\[\{"presence":"online","user_id":"@0:b"\},/)
  })

  it('say of each user how long ago it was active when they are sent', () => {
    const aged = (update: object, receivedTs: number, originServerTs: number) =>
      packed([presence(update, receivedTs)], originServerTs)[0]
    expect(aged({ last_active_ago: 5 }, NOW, NOW + 20_000)).to.include('"last_active_ago":20005,')
    expect(aged({ last_active_ago: 5 }, NOW + 1, NOW), 'a clock set back').to.include('"last_active_ago":5,')
    expect(aged({ last_active_ago: MOST - 1 }, 0, NOW)).to.include(`"last_active_ago":${MOST},`)
    expect(aged({ last_active_ago: 'x' }, 0, NOW)).to.include('"last_active_ago":"x",')
    expect(aged({}, 0, NOW)).to.not.include('last_active_ago')
  })

  it('leave alone what is called so elsewhere in an update', () => {
    const update = {
      a: { last_active_ago: 1, b: ['last_active_ago', '"last_active_ago":1'] },
      'a"{': '\\"last_active_ago":2,\\',
      'x\\last_active_ago': 3,
    }
    const withOwn = { ...update, last_active_ago: 5, z: { last_active_ago: 6 } }
    const content = (given: object) =>
      (JSON.parse(packed([presence(given, NOW)], NOW + 100)[0] ?? '') as { content: unknown }).content
    const whole = (given: object) => ({ push: [{ presence: 'online', user_id: '@a:b', ...given }] })
    expect(content(update)).to.deep.equal(whole(update))
    expect(content(withOwn)).to.deep.equal(whole({ ...withOwn, last_active_ago: 105 }))
  })

  it('hold receipts of many rooms, types and users, sorted as canonical JSON is', () => {
    const rooms = ['!b', '!a"', '!a', '!\ue000', '!😀']
    const parts = rooms.flatMap((room) => [
      receipt('@z:b', undefined, room),
      receipt('@a:b', undefined, room),
      receipt('@a:b', undefined, room, 'a.type'),
    ])
    const texts = packed(parts)
    expect(texts).to.have.lengthOf(1)
    expect(texts[0]).to.equal(canonicalFromValue(JSON.parse(texts[0] ?? '')))
    const { content } = JSON.parse(texts[0] ?? '') as { content: object }
    expect(Object.keys(content)).to.deep.equal(['!a', '!a"', '!b', '!\ue000', '!😀'])
  })

  it('hold one receipt of a user in a room each, the one without a thread last', () => {
    const parts = [
      receipt('@a:b'),
      receipt('@a:b', 'main'),
      receipt('@b:b'),
      receipt('@a:b', '$root'),
      receipt('@b:b', 'main'),
      receipt('@a:b', 'main', '!other'),
    ]
    const users = packed(parts).map((text) => {
      const { content } = JSON.parse(text) as {
        content: Record<string, { 'm.read': Record<string, { data: { thread_id?: string } }> }>
      }
      return Object.entries(content).map(([room, types]) =>
        Object.entries(types['m.read']).map(([user, { data }]) => `${room} ${user} ${data.thread_id ?? '-'}`),
      )
    })
    expect(users).to.deep.equal([
      [['!other @a:b main'], ['!r @a:b main', '!r @b:b main']],
      [['!r @a:b $root']],
      [['!r @a:b -', '!r @b:b -']],
    ])
  })

  it('are not packed beyond 65,536 bytes; what has more by itself is one', () => {
    const long = (bytes: number) => 'é'.repeat(bytes / 2)
    const texts = packed([
      presence({ status_msg: long(40_000) }),
      presence({ status_msg: long(40_000) }),
      presence({ status_msg: long(70_000) }),
      presence({}),
      ...['@a:b', '@b:b', '@c:b'].map((user) =>
        part('m.receipt', { '!r': { 'm.read': { [user]: { data: { ts: 1 }, x: long(30_000) } } } }),
      ),
    ])
    expect(texts.map((text) => Math.round(Buffer.byteLength(text) / 10_000))).to.deep.equal([
      4, 4, 7, 0, 6, 3,
    ])
  })

  it('are not looked at again after they had no room for something, though something else would fit', () => {
    const users = ['@a:b', '@b:b', '@c:b'].map((user, i) => {
      const status = 'x'.repeat(i < 2 ? 40_000 : 1)
      return [
        presence({ user_id: user, status_msg: status }),
        part('m.receipt', { '!r': { 'm.read': { [user]: { data: { ts: 1 }, x: status } } } }),
      ]
    })
    const where = packed(users.flat()).map((text) => text.match(/@[abc]:b/g)?.join())
    expect(where).to.deep.equal(['@a:b', '@b:b,@c:b', '@a:b', '@b:b,@c:b'])
  })

  it('are counted before they are there, with the commas, and stay out where they do not fit', () => {
    const packing = packEdus()
    const one = part('m.x', {})
    const bytes = '{"content":{},"edu_type":"m.x"}'.length
    expect(packing.count()).to.deep.equal({ edus: 0, bytes: 0 })
    expect(packing.join(one, (count) => count.bytes === bytes && count.edus === 1)).to.equal(true)
    expect(packing.join(one, (count) => count.bytes <= 2 * bytes)).to.equal(false)
    expect(packing.count()).to.deep.equal({ edus: 1, bytes })
    expect(packing.join(one, (count) => count.bytes === 2 * bytes + 1)).to.equal(true)
    expect(packing.texts(NOW).join(',')).to.have.lengthOf(2 * bytes + 1)
    for (const user of ['@a:b', '@b:b']) packing.join(receipt(user))
    expect(packing.join(receipt('@c:b'), ({ edus }) => edus === 3)).to.equal(true)
    expect(packing.join(receipt('@a:b'), ({ edus }) => edus === 3)).to.equal(false)
    expect(packing.texts(NOW)).to.have.lengthOf(3)
  })

  it('are 100 at most where that is what fits', () => {
    const packing = packEdus()
    const parts = Array.from({ length: 300 }, (_, i) => part('m.x', { i }))
    const joined = parts.filter((one) => packing.join(one, ({ edus }) => edus <= 100))
    expect(joined).to.have.lengthOf(100)
    expect(packing.texts(NOW)).to.have.lengthOf(100)
  })

  it('have a form that a release knows, or are not made at all', () => {
    expect(() => packEdus(2)).to.throw(RangeError, 'form 2')
  })

  // Kept transactions are made again from their positions: these bytes may change only under a new form.
  it('of form 1 are these, for ever', () => {
    const parts = [
      receipt('@a:b', '$t'),
      presence({ last_active_ago: 1, status_msg: '"' }, NOW - 9),
      part('m.typing', { room_id: '!r', typing: false, user_id: '@a:b' }),
      receipt('@b:b'),
      presence({ user_id: '@c:b' }),
      receipt('@c:b', 'main'),
      part('m.direct_to_device', { message_id: 'x' }),
    ]
    expect(packed(parts).join('\n')).to.equal(
      [
        '{"content":{"room_id":"!r","typing":false,"user_id":"@a:b"},"edu_type":"m.typing"}',
        '{"content":{"message_id":"x"},"edu_type":"m.direct_to_device"}',
        '{"content":{"push":[{"last_active_ago":10,"presence":"online","status_msg":"\\"","user_id":"@a:b"},{"presence":"online","user_id":"@c:b"}]},"edu_type":"m.presence"}',
        '{"content":{"!r":{"m.read":{"@a:b":{"data":{"thread_id":"$t","ts":1},"event_ids":["$e"]},"@c:b":{"data":{"thread_id":"main","ts":1},"event_ids":["$e"]}}}},"edu_type":"m.receipt"}',
        '{"content":{"!r":{"m.read":{"@b:b":{"data":{"ts":1},"event_ids":["$e"]}}}},"edu_type":"m.receipt"}',
      ].join('\n'),
    )
  })
})
