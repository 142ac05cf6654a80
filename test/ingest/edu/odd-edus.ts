/** EDU items for fuzzing, as JSON text: what a producer could send, near to what is right and far from it. */
import fc from 'fast-check'

const ROOMS = ['!r:a', '!s:a', '!"\\\u0001:a', '!😀:a', '!12']
const USERS = [
  '@a:a',
  '@b:a',
  '@c:b',
  '@":a',
  '@\\:a',
  '@\ue000:a',
  '@😀:a',
  '@\u0001\u0002:a',
  '@__proto__:a',
]
const NO_USERS = ['a:b', '@a', '', '__proto__', '@a\0:b', `@${'u'.repeat(255)}:a`]
const THREADS = ['main', '$root', '"', '$😀']
const NUMBERS = [
  ...[
    '1.5',
    '1e3',
    '-0',
    '-1',
    '9007199254740991',
    '9007199254740992',
    '-9007199254740992',
    '1e400',
    '1e-400',
  ],
  ...['9'.repeat(400), `0.${'3'.repeat(400)}`],
]
/** As they are in a body: the reader decides whether they are texts. */
const HALVES = ['"\\ud800"', '"\\udc00\\ud800"', '"a\\udfffb"', '{"\\ud83d":1}']
/** More than one EDU may have. */
const HUGE = 1024 * 1024

/** Texts of JSON values. */
const quoted = (...texts: string[]) => fc.constantFrom(...texts.map((text) => JSON.stringify(text)))
const number = fc.oneof(fc.nat(5).map(String), fc.constantFrom(...NUMBERS))
const good = fc.nat().map(String)
const length = fc.oneof(
  { weight: 1_500, arbitrary: fc.constantFrom(0, 4, 100) },
  { weight: 50, arbitrary: fc.constantFrom(20_000, 33_000, 66_000) },
  { weight: 1, arbitrary: fc.constant(HUGE) },
)
const longText = fc
  .tuple(fc.constantFrom('x', 'é', '"', '\u0001', '😀'), length)
  .map(([sign, bytes]) => JSON.stringify(sign.repeat(bytes / Buffer.byteLength(sign))))
const anyValue = fc.oneof(
  { weight: 4, arbitrary: number },
  fc.json({ maxDepth: 2 }),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => JSON.stringify(text)),
  { weight: 2, arbitrary: fc.constantFrom('null', '{}', '[]', '"last_active_ago"', '{"last_active_ago":7}') },
  {
    weight: 1,
    arbitrary: fc.oneof(fc.integer({ min: 90, max: 110 }), fc.constantFrom(998, 1_100)).map(nested),
  },
  { weight: 1, arbitrary: fc.constantFrom(...HALVES) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...['__proto__', 'constructor', 'toJSON'].map((key) => `{"${key}":{"x":1.5}}`),
    ),
  },
)

function nested(levels: number): string {
  return `${'['.repeat(levels)}${']'.repeat(levels)}`
}

type Text = fc.Arbitrary<string>
/** Nearly always `value`. */
const mostly = (value: Text, other: Text = anyValue): Text =>
  fc.oneof({ weight: 30, arbitrary: value }, { weight: 1, arbitrary: other })

const more = fc.option(
  fc.tuple(fc.constantFrom('x', '__proto__', 'constructor', 'é'), fc.oneof(anyValue, longText)),
  {
    freq: 6,
  },
)
/** An object of these members, each of which may be missing, and perhaps another one. */
function objectOf(members: Record<string, Text>, optional: Record<string, Text> = {}): Text {
  const given = Object.entries(members).map(([key, value]) =>
    fc.option(value, { freq: 60 }).map((text) => [key, text] as const),
  )
  const perhaps = Object.entries(optional).map(([key, value]) =>
    fc.option(value, { freq: 2 }).map((text) => [key, text] as const),
  )
  return fc
    .tuple(more, ...given, ...perhaps)
    .map(([other, ...list]) => objectText(other === null ? list : [...list, other]))
}

/** Each key once. */
function objectText(members: readonly (readonly [key: string, text: string | null])[]): string {
  const texts = new Map(members.filter((member): member is [string, string] => member[1] !== null))
  return `{${[...texts].map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}`
}

const dictionary = (key: fc.Arbitrary<string>, value: Text, maxLength: number): Text =>
  fc.array(fc.tuple(key, value), { maxLength }).map(objectText)

const users = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom(...USERS) },
  { weight: 1, arbitrary: fc.constantFrom(...NO_USERS) },
)
const user = mostly(users.map((text) => JSON.stringify(text)))
const oneReceipt = objectOf({
  data: mostly(objectOf({ ts: mostly(good) }, { thread_id: mostly(quoted(...THREADS)) })),
  event_ids: mostly(fc.constantFrom('["$a"]', '["$b"]', '["$😀","$c"]')),
})
const receiptTypes = fc.constantFrom('m.read', 'm.read', 'm.read', 'm.read.private', 'org."x"', '__proto__')
const receipts = (room: string): Text =>
  mostly(dictionary(receiptTypes, mostly(dictionary(users, mostly(oneReceipt), 4)), 3)).map(
    (types) => `{${JSON.stringify(room)}:${types}}`,
  )
const update = objectOf(
  { user_id: user, presence: mostly(quoted('online', 'offline')) },
  { last_active_ago: mostly(good, number), status_msg: fc.oneof(longText, quoted('"last_active_ago":5')) },
)
const typing = (room: string): Text =>
  objectOf({ user_id: user, typing: mostly(fc.constantFrom('true', 'false')) }).map((text) =>
    text === '{}'
      ? `{"room_id":${JSON.stringify(room)}}`
      : `{"room_id":${JSON.stringify(room)},${text.slice(1)}`,
  )
const contents: Record<string, (room: string) => Text> = {
  'm.receipt': receipts,
  'm.presence': () =>
    objectOf({ push: mostly(fc.array(mostly(update), { maxLength: 5 }).map((l) => `[${l.join()}]`)) }),
  'm.typing': typing,
  'm.direct_to_device': () =>
    objectOf({
      sender: user,
      type: quoted('m.room.encrypted'),
      message_id: mostly(fc.string({ unit: 'binary', maxLength: 34 }).map((text) => JSON.stringify(text))),
      messages: mostly(dictionary(users, fc.oneof(anyValue, longText), 3)),
    }),
  'm.device_list_update': () =>
    objectOf({ user_id: user, device_id: mostly(quoted('D')), stream_id: mostly(good), keys: anyValue }),
  'm.signing_key_update': () => objectOf({ user_id: user, master_key: anyValue }),
  'org.example."x"': () => dictionary(users, fc.oneof(anyValue, longText), 3),
}

const field = <T>(value: T): fc.Arbitrary<T | undefined> => fc.constantFrom(value, undefined, undefined)

/** The text of an item whose own form is right. */
export const goodItem: Text = fc
  .tuple(fc.constantFrom(...Object.keys(contents)), fc.constantFrom(...ROOMS))
  .chain(([eduType, room]) => {
    const takesKey = !['m.receipt', 'm.presence', 'm.typing'].includes(eduType)
    const beside = fc.record({
      key: takesKey ? field('k') : fc.constant(undefined),
      ttl_ms: field(5),
      durable: fc.constantFrom(undefined, true, false),
    })
    return fc.tuple((contents[eduType] ?? typing)(room), beside).map(([content, own]) => {
      const item = JSON.stringify({ type: 'edu', edu_type: eduType, rooms: [room], ...own })
      return `${item.slice(0, -1)},"content":${content}}`
    })
  })

/** The text of an item that may be wrong anywhere. */
export const anyItem: Text = fc.oneof(
  { weight: 3, arbitrary: goodItem },
  objectOf(
    {
      type: fc.constant('"edu"'),
      edu_type: mostly(quoted(...Object.keys(contents))),
      content: fc.oneof(receipts('!r:a'), update, typing('!r:a'), anyValue),
      rooms: mostly(fc.constantFrom('["!r:a"]', '["!r:a","!s:a"]', '[]', '["r"]')),
    },
    { destinations: anyValue, key: anyValue, ttl_ms: number, durable: anyValue },
  ),
)
