/**
 * Bodies of 16 MiB that are made to hold up the process: what is measured is the processor time of the longest turn of the
 * event loop, which another process on the same machine does not add to.
 */
import { expect } from 'chai'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { parseJsonBody, parseLines } from '../../src/ingest/parse-body.ts'
import { BodyError, ItemError } from '../../src/ingest/item-error.ts'
import { eventItem, SERVER } from './ingest/stage.ts'

const MOST = 16 * 1024 * 1024
/** Ten times what it is on a quiet machine, and a tenth of what it was: 1 to 7 s there. */
const LONGEST_TURN_MS = 300
const options = { serverName: SERVER, stickyFieldNames: ['sticky'] }

const items = (inner: string) => Buffer.from(`{"items":[${inner}]}`)
const repeated = (piece: string, length = MOST - 100) =>
  Array<string>(Math.floor(length / (piece.length + 1)))
    .fill(piece)
    .join(',')
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const keys = (count: number) => `{${Array.from({ length: count }, (_, n) => `"k${n}":1`).join(',')}}`
/** An event of a version whose ids say nothing, so that it may hold anything. */
const event = (inner: string) =>
  JSON.stringify(eventItem())
    .replace('"room_version":"11"', '"room_version":"99"')
    .replace('"content":{', `"content":{"x":${inner},`)

const TOO_LARGE = 'M_TOO_LARGE'
const BOMBS: readonly [what: string, body: () => Buffer, errcode: string | null, lines?: 'lines'][] = [
  ['arrays nested 900 deep', () => items(repeated(`[${nested(900)}]`)), 'M_BAD_JSON'],
  ['a list of arrays nested 150 deep', () => items(`[${repeated(nested(150))}]`), TOO_LARGE],
  ['a list of zeros', () => items(`[${repeated('0')}]`), TOO_LARGE],
  ['a list of empty objects', () => items(`[${repeated('{}')}]`), TOO_LARGE],
  ['an object of a million keys', () => items(keys(1_000_000)), TOO_LARGE],
  [
    'events that are as many values as they can be: somebody may write them one after the other',
    () => items(repeated(event(`[${repeated('0', 60_000)}]`))),
    null,
  ],
  ['events of 3,000 keys', () => items(repeated(event(keys(3000)), 4 << 20)), null],
  ['a list of numbers that have no canonical form', () => items(`[${repeated('1e400')}]`), TOO_LARGE],
  ['a number of 16 million digits', () => items('1'.repeat(MOST - 100)), TOO_LARGE],
  ['one string', () => items(`"${'a'.repeat(MOST - 100)}"`), TOO_LARGE],
  ['one string of escapes', () => items(`"${'\\u0041'.repeat((MOST - 100) / 6)}"`), TOO_LARGE],
  [
    'an event that is much larger than it may be',
    () => items(event(`[${repeated('"äöü"', 1 << 20)}]`)),
    TOO_LARGE,
  ],
  [
    'much that is unsigned',
    () => items(event('1').replace('"pdu":{', `"pdu":{"unsigned":{"x":[${repeated('{}', 190_000)}]},`)),
    null,
  ],
  ['lines with nothing in them', () => Buffer.alloc(MOST, '\n'), null, 'lines'],
  ['lines of one character', () => Buffer.alloc(MOST, '0\n'), 'M_INVALID_PARAM', 'lines'],
  ['a line of arrays', () => Buffer.from(`[${repeated(nested(150))}]`), TOO_LARGE, 'lines'],
]

describe('a body that is made to hold up the process', function () {
  this.timeout(120_000)

  /** The longest turn while `work` is under way, in ms of processor time. */
  async function longestTurn(work: () => Promise<unknown>): Promise<number> {
    let [longest, watching, before] = [0, true, process.cpuUsage()]
    const look = () => {
      const { user, system } = process.cpuUsage(before)
      longest = Math.max(longest, (user + system) / 1000)
      before = process.cpuUsage()
      if (watching) setImmediate(look)
    }
    await nextTurn()
    before = process.cpuUsage()
    setImmediate(look)
    await work()
    await nextTurn()
    watching = false
    return longest
  }

  for (const [what, makeBody, errcode, lines] of BOMBS) {
    it(`of ${what}: others have their turns`, async () => {
      const body = makeBody()
      expect(body.length).to.be.at.most(MOST)
      let found: string | null = null
      const parse = () =>
        (lines === undefined ? parseJsonBody(body, options) : parseLines(body, {}, options)).catch(
          (error: unknown) => {
            if (!(error instanceof BodyError || error instanceof ItemError)) throw error
            found = error.errcode
          },
        )
      // What the garbage collector does in between counts too: the body that holds others up does so each time.
      let longest = Infinity
      for (let tries = 0; tries < 3 && longest >= LONGEST_TURN_MS; tries += 1)
        longest = await longestTurn(parse)
      expect(longest).to.be.below(LONGEST_TURN_MS)
      expect(found).to.equal(errcode)
    })
  }

  it('is not an event of a valid size, whatever is in it', async () => {
    for (const inner of [`[${repeated('0', 64_000)}]`, `[${repeated(nested(190), 64_000)}]`, keys(5000)]) {
      const { request } = await parseJsonBody(items(event(inner)), options)
      expect(request.items).to.have.length(1)
    }
  })

  it('is not a room with 60,000 servers', async () => {
    const names = Array.from({ length: 60_000 }, (_, n) => `"server-${n}.example.org"`).join(',')
    const { request } = await parseJsonBody(
      items(`{"type":"servers","room_id":"!r:x","set":[${names}]}`),
      options,
    )
    expect(request.items).to.have.length(1)
  })
})
