/**
 * Whatever users and producers put into EDUs, ingest ends with an item or with an error that has a place; what it takes is canonical, and what is
 * packed of it is what was taken. `LIMPET_FUZZ_RUNS`: how many of each (`npm run fuzz`: 100,000).
 */
import { expect } from 'chai'
import fc from 'fast-check'
import { coalesce } from '../../src/deliver/rules/coalesce.ts'
import { ItemError } from '../../src/ingest/item-error.ts'
import type { EduItem, EduPart } from '../../src/ingest/items.ts'
import { parseItem } from '../../src/ingest/parse-item.ts'
import { packEdus, type EduToPack } from '../../src/matrix/edus/pack.ts'
import { JsonError, type JsonObject } from '../../src/matrix/json-value.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import { FUZZ_RUNS } from '../support/fuzz-runs.ts'
import { anyItem, goodItem } from './edu/odd-edus.ts'
import { readEdu } from './edu/edu-item.ts'

const KIB_64 = 65_536
const NOW = 1_700_000_000_000
const FIELDS = new Set([
  ...['type', 'edu_type', 'content', 'rooms', 'destinations', 'key', 'ttl_ms', 'durable'],
])
const WHYS = ['malformed', 'not_canonical', 'too_large', 'private']

/** Half a character, as it is or escaped. */
const LONE = /\p{Surrogate}|\\u[dD][89a-fA-F]/u

/** Plainly: read by the engine, keys in the order of their code points, whole numbers that JavaScript can hold. */
function canonical(value: unknown): string {
  if (typeof value === 'number' && (!Number.isSafeInteger(value) || Object.is(value, -0)))
    throw new Error(`${value} is not canonical`)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const points = (text: string) => Buffer.from(text, 'utf8')
  // UTF-8 has the order of code points.
  const members = Object.entries(value).sort(([a], [b]) => Buffer.compare(points(a), points(b)))
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(',')}}`
}
function checkCanonical(text: string): void {
  expect(canonical(JSON.parse(text))).to.equal(text)
  expect(LONE.test(text)).to.equal(false)
}

function checkItem({ parts, ignored, eduType, audience }: EduItem): void {
  expect('rooms' in audience).to.not.equal('destinations' in audience)
  for (const { content, key, ttlMs, durable, alone, messageId } of parts) {
    checkCanonical(content)
    const bytes = Buffer.byteLength(`{"content":${content},"edu_type":${JSON.stringify(eduType)}}`)
    expect(bytes).to.be.at.most(1_048_576)
    expect(alone).to.equal(bytes > KIB_64)
    // What other types hold is passed on, whatever it looks like.
    if (eduType === 'm.receipt') {
      const types = Object.values(JSON.parse(content) as object).flatMap((one) => Object.keys(one as object))
      expect(types).to.have.lengthOf(1).and.not.include('m.read.private')
    }
    if (key !== null) expect(Buffer.byteLength(key)).to.be.within(1, 512)
    if (key !== null) expect(key).to.not.include('\0')
    if (ttlMs === null) expect(durable).to.equal(true)
    else expect(ttlMs).to.be.above(0)
    expect(messageId ?? '').to.not.include('\0')
    if (eduType === 'm.direct_to_device') expect(Array.from(messageId ?? '').length).to.be.within(1, 32)
  }
  for (const { value, why } of ignored) {
    expect(WHYS).to.include(why)
    expect(value.startsWith(eduType.slice(0, 254))).to.equal(true)
    expect(value).to.have.length.within(1, 255)
    expect(value).to.not.match(/\p{Surrogate}/u)
  }
  expect(new Set(ignored.map(({ value, why }) => `${value} ${why}`)).size).to.equal(ignored.length)
}

/** What is in an EDU, piece by piece, as text; of presence without its age. */
function piecesIn(text: string): string[] {
  const { content, edu_type: eduType } = JSON.parse(text) as { content: object; edu_type: string }
  if (eduType === 'm.presence')
    return (content as { push: object[] }).push.map((update) => withoutAge(canonical(update)))
  if (eduType !== 'm.receipt') return [text]
  return Object.entries(content).flatMap(([room, types]) =>
    Object.entries(types as object).flatMap(([type, users]) =>
      Object.entries(users as object).map(([user, receipt]) => canonical([room, type, user, receipt])),
    ),
  )
}
const withoutAge = (update: string): string => {
  const { last_active_ago: age, ...rest } = JSON.parse(update) as { last_active_ago?: number }
  if (age !== undefined) expect(age).to.be.within(0, Number.MAX_SAFE_INTEGER)
  return canonical(rest)
}
const wireOf = ({ eduType, content }: EduToPack): string =>
  `{"content":${content},"edu_type":${JSON.stringify(eduType)}}`
const hasThread = (piece: string): boolean =>
  Object.hasOwn((JSON.parse(piece) as [0, 0, 0, { data: object }])[3].data, 'thread_id')

describe('fuzzing of EDUs', function () {
  this.timeout(60 * 60_000)
  const runs = { numRuns: FUZZ_RUNS }

  it('an item is taken or refused with a place, at the door too', () => {
    let taken = 0
    fc.assert(
      fc.property(anyItem, (text) => {
        const node = nodeIn(text)
        if (node === null) return
        const isKnown = Object.keys(node).every((field) => FIELDS.has(field))
        const atTheDoor = () =>
          parseItem({ ...node, type: 'edu' }, 0, { serverName: 'a', stickyFieldNames: [] })
        try {
          const item = readEdu(node)
          checkItem(item)
          taken += 1
          if (isKnown) expect(atTheDoor()).to.deep.equal(item)
          else expect(atTheDoor).to.throw(ItemError)
        } catch (error) {
          if (!(error instanceof ItemError)) throw error
          expect(error.path).to.match(/^(?:content|rooms|edu_type|destinations|key|ttl_ms|durable)/)
          expect(error.errcode).to.equal('M_INVALID_PARAM')
          expect(atTheDoor).to.throw(ItemError)
        }
      }),
      runs,
    )
    expect(taken, 'good ones among them').to.be.above(FUZZ_RUNS / 3)
  })

  it('an item of the right form is never refused for what its users have put into it', () => {
    let [whole, some] = [0, 0]
    fc.assert(
      fc.property(goodItem, (text) => {
        const node = nodeIn(text)
        if (node === null) return
        const item = readEdu(node)
        checkItem(item)
        whole += Number(item.parts.length > 0)
        some += Number(item.ignored.length > 0)
      }),
      runs,
    )
    expect(whole, 'good ones among them').to.be.above(FUZZ_RUNS / 3)
    expect(some, 'odd ones among them').to.be.above(FUZZ_RUNS / 20)
  })

  it('packing loses nothing, adds nothing, and keeps within what it counted', () => {
    let [most, full] = [0, 0]
    const limits = fc.record({
      maxEdus: fc.constantFrom(1, 3, 100),
      maxBytes: fc.constantFrom(500, 100_000, 4e6),
    })
    fc.assert(
      fc.property(
        fc.array(fc.tuple(goodItem, fc.nat(50)), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 20 }),
        limits,
        fc.integer({ min: -10, max: 1_000_000 }),
        (items, times, { maxEdus, maxBytes }, waited) => {
          const given = items.flatMap(([text, ago]) => partsOf(text, NOW - ago))
          // The same again and again, as if nobody had coalesced.
          const parts = Array.from({ length: times }, () => given).flat()
          const packing = packEdus()
          const joined: EduToPack[] = []
          for (const part of parts) {
            const before = packing.count()
            const fits = packing.join(part, ({ edus, bytes }) => edus <= maxEdus && bytes <= maxBytes)
            if (fits) joined.push(part)
            else expect(packing.count()).to.deep.equal(before)
          }
          const texts = packing.texts(NOW + waited)
          const { edus, bytes } = packing.count()
          most = Math.max(most, edus)
          full += Number(joined.length < parts.length)

          expect(texts).to.have.lengthOf(edus)
          expect(edus).to.be.at.most(Math.min(maxEdus, 100))
          const real = Buffer.byteLength(texts.join(','))
          const updates = joined.filter(({ eduType }) => eduType === 'm.presence').length
          expect(real).to.be.within(bytes - 16 * updates, bytes)
          expect(bytes).to.be.at.most(maxBytes)
          for (const text of texts) {
            checkCanonical(text)
            if (Buffer.byteLength(text) > KIB_64) expect(piecesIn(text)).to.have.lengthOf(1)
          }
          expect(texts.flatMap(piecesIn).sort()).to.deep.equal(joined.map(wireOf).flatMap(piecesIn).sort())

          const ofReceipts = texts
            .filter((text) => text.endsWith(',"edu_type":"m.receipt"}'))
            .flatMap(piecesIn)
          const threads = ofReceipts.map(hasThread)
          expect(threads.lastIndexOf(true), 'those without a thread are last').to.be.below(
            threads.includes(false) ? threads.indexOf(false) : threads.length,
          )
          // Made again: of the same parts, by another process.
          const again = packEdus()
          for (const part of joined) again.join({ ...part })
          expect(again.count()).to.deep.equal({ edus, bytes })
          expect(again.texts(NOW + waited)).to.deep.equal(texts)
        },
      ),
      { numRuns: Math.ceil(FUZZ_RUNS / 4) },
    )
    expect(most, 'large transactions among them').to.be.above(40)
    expect(full, 'some that did not fit').to.be.above(FUZZ_RUNS / 40)
  })

  it('of what has a key the last goes, and what goes can be packed', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(goodItem, fc.boolean()), { maxLength: 12 }), (items) => {
        const pending = items.flatMap(([text, isOver]) =>
          itemParts(text).map((part) => ({ ...part, expiresAt: isOver ? NOW : NOW + 1 })),
        )
        const numbered = pending.map((part, pos) => ({ ...part, pos }))
        const { go, dropped } = coalesce(numbered, NOW)
        expect(go.length + dropped.length).to.equal(pending.length)
        const keyed = go.filter(({ key }) => key !== null)
        expect(new Set(keyed.map(({ eduType, key }) => `${eduType} ${key}`)).size).to.equal(keyed.length)
        const packing = packEdus()
        for (const { eduType, content } of go) packing.join({ eduType, content, receivedTs: NOW })
        for (const text of packing.texts(NOW)) checkCanonical(text)
      }),
      { numRuns: Math.ceil(FUZZ_RUNS / 4) },
    )
  })
})

/** Null: the reader itself refuses it, for half a character. */
function nodeIn(text: string): JsonObject | null {
  try {
    return parseJson(text) as JsonObject
  } catch (error) {
    if (error instanceof JsonError) return null
    throw error
  }
}

function itemParts(text: string): (EduPart & { eduType: string })[] {
  const node = nodeIn(text)
  if (node === null) return []
  const { parts, eduType } = readEdu(node)
  return parts.map((part) => ({ ...part, eduType }))
}

const partsOf = (text: string, receivedTs: number): EduToPack[] =>
  itemParts(text).map(({ eduType, content }) => ({ eduType, content, receivedTs }))
