/**
 * A homeserver's side of limpet, whole: a homeserver with one room lets limpet send what it has to say to another server.
 *
 *   npx tsx examples/homeserver.mts SERVER_NAME REMOTE
 *
 * where limpet was installed by `limpet init --server-name SERVER_NAME` and runs, and REMOTE is a server that it can reach, such as that of
 * `limpet receive`. From elsewhere: LIMPET_URL, LIMPET_TOKEN (the ingest token), SIGNING_KEY (a key file), and LOG with SOURCE: another log is another
 * source, as limpet goes by the places in it.
 *
 * What your homeserver has already is at the end: signed events. What it needs for limpet is above that.
 */
import { createHash, createPrivateKey, randomUUID, sign } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { digestOf, makeProducer } from 'limpet/client'
import type { LimpetItem } from 'limpet/client'

const [serverName = 'example.org', remote = '127.0.0.1:8449'] = process.argv.slice(2)
const {
  LIMPET_URL: url = 'http://127.0.0.1:8469',
  LIMPET_TOKEN: token = /^ingest: *"?([^"\s]+)/m.exec(readFileSync('limpet-data/tokens.yaml', 'utf8'))?.[1] ??
    '',
  SIGNING_KEY: keyFile = `limpet-data/${serverName}.signing.key`,
  LOG: logFile = 'homeserver.ndjson',
  SOURCE: source = 'example',
} = process.env
const say = (line: string): void => console.log(line)

// 1. The homeserver's own log of what limpet is to be told. In a real one it is a table, written in the same database transaction as the event
// itself. So what was committed is told, however often either side crashes.
const log: LimpetItem[] = existsSync(logFile)
  ? readFileSync(logFile, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as LimpetItem)
  : []
function commit(...items: LimpetItem[]): void {
  log.push(...items)
  appendFileSync(logFile, items.map((item) => `${JSON.stringify(item)}\n`).join(''))
}

// 2. Telling it. The token is the place in the log. limpet stores it together with the items, so limpet knows how far we got, and we need not.
let answersToLose = 0
const producer = makeProducer({
  ...{ url, token, source },
  // Only to show what happens when an answer is lost: limpet took the items, and we do not hear of it.
  fetch: async (...asked) => {
    const answer = await fetch(...asked)
    if (answersToLose === 0) return answer
    answersToLose -= 1
    throw new TypeError('the connection was cut')
  },
})
/** How many entries of the log limpet has, as limpet itself says at our start. */
let told = await producer.position().then(
  ({ source_token: stored }) => Number(stored ?? 0),
  (error: unknown) => {
    // A homeserver asks again until it is told.
    say(`is limpet there? ${(error as Error).message}`)
    process.exit(1)
  },
)
if (told > log.length)
  throw new Error(
    `limpet was told ${told} items of ${source}, and ${logFile} has ${log.length}: it is another log (put the old one back, or give another SOURCE)`,
  )
async function tell(): Promise<void> {
  while (told < log.length) {
    const items = log.slice(told, told + 1_000)
    const to = told + items.length
    const tokens = { from: told === 0 ? null : String(told), to: String(to) }
    // Repeats by itself while limpet is away, until the items are taken: once, even if an answer is lost.
    const fed = await producer.ingest(items, { tokens })
    if (fed.kind === 'before') say(`items ${told + 1} to ${to} were taken before; the answer was lost`)
    else {
      say(`items ${told + 1} to ${to} are taken: position ${fed.position} of limpet's stream`)
      // Nothing odd stops the stream, but it is worth a line: this was left out.
      for (const { index, value } of fed.ignored) say(`  left out of item ${told + index + 1}: ${value}`)
    }
    told = to
  }
}

// 3. A remote server joins the room. First limpet is told who is in it, then of the events after that.
const room = `!${randomUUID()}:${serverName}`
const alice = `@alice:${serverName}`
const bob = `@bob:${remote}`
commit({ type: 'servers', room_id: room, add: [remote] })
say(`${remote} is in ${room}`)
await tell()

// 4. A message, and a sticky event: one that a server that was away, or joins later, gets first while it is unexpired (MSC4354).
commit(event('m.room.message', { msgtype: 'm.text', body: 'Hello from the example' }))
const membership = { application: { type: 'm.call' } }
commit(event('org.matrix.msc4143.rtc.member', membership, { sticky_ms: 600_000 }))
answersToLose = 1
await tell()

// 5. EDUs: to a room's servers, or to the servers that are named. A to-device message is kept until it is acknowledged, typing only for seconds.
commit(
  {
    type: 'edu',
    edu_type: 'm.typing',
    rooms: [room],
    content: { room_id: room, user_id: alice, typing: true },
  },
  {
    ...{ type: 'edu', edu_type: 'm.direct_to_device', destinations: [remote] },
    content: {
      ...{ sender: alice, type: 'm.dummy', message_id: randomUUID().replaceAll('-', '') },
      messages: { [bob]: { '*': {} } },
    },
  },
)
await tell()

// 6. A request of that server arrived, so it is up: limpet tries at once what it was waiting to send. Advice: nothing is lost without it.
await producer.serverUp([remote])
// The other way round: servers that limpet cannot reach, which our own requests (keys, joins, media) need not try.
const { servers: away } = await producer.unreachable()
say(
  away.length === 0 ? 'limpet reaches every server' : `away: ${away.map(({ server }) => server).join(', ')}`,
)

// 7. Once an hour: does limpet know the same servers in each room as we do? GET /v1/rooms compares a thousand rooms a request; this is one.
const ours = [remote]
const { digest, names } = await producer.room(room)
if (digest === digestOf(ours)) say('limpet knows the same servers of the room')
else {
  say(`limpet knows ${names.join(', ')}; mended`)
  commit({ type: 'servers', room_id: room, set: ours })
  await tell()
}

// 8. The remote server's last user is kicked. The event that ends a membership is told before the server leaves the room: so it still gets it.
commit(event('m.room.member', { membership: 'leave' }, { state_key: bob }))
commit({ type: 'servers', room_id: room, remove: [remote] })
await tell()

/** What a homeserver has already: an event of room version 11 with its hash, our signature and its id. */
function event(
  type: string,
  content: object,
  more: { state_key?: string; sticky_ms?: number } = {},
): LimpetItem {
  const { sticky_ms, ...state } = more
  // What a redaction leaves of it. A real event names those before it and those that allow it.
  const links = { auth_events: [], prev_events: [], depth: log.length + 1 }
  const frame = { ...links, ...state, type, room_id: room, sender: alice, origin_server_ts: Date.now() }
  const sticky = sticky_ms === undefined ? {} : { msc4354_sticky: { duration_ms: sticky_ms } }
  const hashes = { sha256: sha256(canonical({ ...frame, ...sticky, content })) }
  // Signature and id cover the redacted event.
  const redacted = { ...frame, hashes, content: type === 'm.room.member' ? content : {} }
  const [, version = '', seed = ''] = readFileSync(keyFile, 'utf8').trim().split(/\s+/)
  const der = Buffer.from(
    `302e020100300506032b657004220420${Buffer.from(seed, 'base64').toString('hex')}`,
    'hex',
  )
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const signature = unpadded(sign(null, Buffer.from(canonical(redacted)), key))
  const signatures = { [serverName]: { [`ed25519:${version}`]: signature } }
  const eventId = `$${sha256(canonical(redacted)).replaceAll('+', '-').replaceAll('/', '_')}`
  say(`${type} ${eventId}`)
  const pdu = { ...frame, ...sticky, content, hashes, signatures }
  return { type: 'event', room_id: room, room_version: '11', event_id: eventId, pdu }
}

/** Canonical JSON, of strings, whole numbers, objects and lists. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, one]) => `${JSON.stringify(name)}:${canonical(one)}`).join(',')}}`
}

function sha256(text: string): string {
  return unpadded(createHash('sha256').update(text).digest())
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
