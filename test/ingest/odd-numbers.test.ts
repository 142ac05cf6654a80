import { expect } from 'chai'
import { ItemError } from '../../src/ingest/item-error.ts'
import { parseItem } from '../../src/ingest/parse-item.ts'
import { canonicalText } from '../../src/matrix/canonical-json.ts'
import { eventIdOf } from '../../src/matrix/event-id.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { roomVersion } from '../../src/matrix/room-versions.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import { event, OURS, redact } from './ingest-world.ts'

// The number stands in the place of "@", as text: JavaScript's own numbers have forgotten their spelling.
function withNumber(item: object, number: string, version: string): JsonObject {
  const node = parseJson(JSON.stringify(item).replace('"@"', number)) as JsonObject
  const rules = roomVersion(version)
  if (rules !== null) node['event_id'] = eventIdOf(node['pdu'] as JsonObject, rules) ?? ''
  return node
}

function eventWith(number: string, version: string): JsonObject {
  const item = event({ version: roomVersion(version) === null ? '11' : version })
  return withNumber(
    { ...item, room_version: version, pdu: { ...item.pdu, content: { list: [0, '@'] } } },
    number,
    version,
  )
}

const parse = (node: JsonObject) => parseItem(node, 3, { serverName: OURS, stickyFieldNames: [] })

describe('numbers outside canonical JSON in an event', () => {
  for (const version of ['1', '2', '3', '4', '5', 'org.example.new']) {
    for (const number of ['1.5', '1000.0', '1e+22', '-0.0', '123456789012345678901234567890']) {
      it(`${number} is kept as it is in room version ${version}`, () => {
        const node = eventWith(number, version)
        const item = parse(node)
        if (item.type !== 'event') throw new Error('it is an event')
        expect(item.pdu).to.include(`"content":{"list":[0,${number}]}`)
        expect(item.odd, 'it is sent alone').to.equal(true)
        expect(item.pdu).to.equal(canonicalText(node['pdu'] as JsonObject, { oddNumbers: 'keep' }))
      })
    }
    for (const number of ['1e3', '1.50', '-0', '1e22', '1e400']) {
      it(`${number} is refused in room version ${version}: it would spoil every transaction it is in`, () => {
        expect(() => parse(eventWith(number, version)))
          .to.throw(ItemError, "breaks the event's signatures")
          .that.includes({ index: 3, path: 'pdu.content.list.1', errcode: 'M_BAD_JSON' })
      })
    }
  }

  it('are refused in whatever spelling from room version 6 on', () => {
    for (const number of ['1.5', '1e3', '123456789012345678901234567890'])
      expect(() => parse(eventWith(number, '6')))
        .to.throw(ItemError, 'not an integer within')
        .that.includes({ path: 'pdu.content.list.1', errcode: 'M_BAD_JSON' })
  })

  it('are looked at in redacted forms and in unsigned, too', () => {
    const item = redact(event({ version: '5' }))
    const odd = { ...item, pdu: { ...item.pdu, unsigned: { age: '@' } } }
    expect(parse(withNumber(odd, '1.5', '5'))).to.have.property('type', 'redact')
    expect(() => parse(withNumber(odd, '1e3', '5')))
      .to.throw(ItemError)
      .that.includes({ path: 'pdu.unsigned.age' })
  })
})
