import { expect } from 'chai'
import type { PreviewAnswer } from '../../../src/cli/admin/answers.ts'
import { showPreview } from '../../../src/cli/admin/preview.ts'
import { plainScreen } from '../../../src/cli/screen.ts'

const answer = (over: Partial<PreviewAnswer>): PreviewAnswer => ({
  ...{
    destination: 'd.example',
    reason: 'goes out next: 1 PDU',
    next_attempt: null,
    txn_id: null,
    attempts: 0,
  },
  ...{ catch_up_begins: false, pdus: [], bytes: 0, body: null },
  ...{ what: 'ordinary', first: null, search: null, set_aside: { total: 0, next: [] }, ...over },
})
const pdu = { event_id: '$1', room_id: '!a:us', position: 7, as: 'sticky_replay' } as const

describe('limpet preview', () => {
  it('shows what would go', () => {
    const shown = showPreview(answer({ pdus: [pdu], bytes: 120, body: '{}' }), 0, plainScreen(100))
    expect(shown).to.match(
      /^destination +d\.example\ntransaction +not made yet: it gets its id when it is sent\n/,
    )
    expect(shown).to.match(/\nsize +120 bytes\n/)
    expect(shown).to.match(/\nPOSITION +EVENT +ROOM +SENT AS\n +7 +\$1 +!a:us +sticky replay$/)
    expect(shown).not.to.include('not before')
  })

  it('shows the EDUs in it, beside PDUs or alone', () => {
    const edus = [
      { edu_type: 'm.direct_to_device', position: 12 },
      { edu_type: 'm.typing', position: 9 },
    ]
    const table = / *POSITION +EDU\n +12 +m\.direct_to_device\n +9 +m\.typing$/
    const both = showPreview(answer({ pdus: [pdu], edus, bytes: 120, body: '{}' }), 0, plainScreen(100))
    expect(both).to.match(/\n +7 +\$1 [^\n]+\n\n/)
    expect(both).to.match(table)
    const alone = showPreview(answer({ edus, bytes: 120, body: '{}' }), 0, plainScreen(100))
    expect(alone).to.match(table)
    expect(alone).not.to.include('EVENT')
  })

  it('shows what is unanswered, and when it goes again', () => {
    const open = { txn_id: 'open1', attempts: 3, pdus: [pdu], bytes: 120, body: '{}', next_attempt: 90_000 }
    const shown = showPreview(answer(open), 0, plainScreen(100))
    expect(shown).to.match(/\ntransaction +open1\nrequests so far +3\n/)
    expect(shown).to.match(/\nnot before +in /)
  })

  it('shows which part of a search goes, and what is set aside and when it is tried', () => {
    const row = {
      ...{ id: 'pdu-9', kind: 'pdu', event_id: '$9', room_id: '!a:us', edu_type: null, since: 0, tries: 1 },
      ...{ next_try: 600_000, status: 403, message: 'answered 403' },
    }
    const over: Partial<PreviewAnswer> = { what: 'half', pdus: [pdu], bytes: 9, body: '{}' }
    const search = { pdus: 12, parts: 3, not_before: 60_000 }
    const shown = showPreview(
      answer({ ...over, search, set_aside: { total: 1, next: [row] } }),
      0,
      plainScreen(100),
    )
    expect(shown).to.match(/\nholds +the first part of what is searched\n/)
    expect(shown).to.match(
      /\nPDUs for d\.example that are searched[^]*: 12, in 3 parts[^]* before 1m +from\s+now\n/,
    )
    expect(shown).to.match(
      /\nset aside, as it refuses them: 1\n\nID +WHAT [^]*\npdu-9 +\$9 .* in 10m +403\n +answered 403$/,
    )
    expect(showPreview(answer({ what: 'question', bytes: 9, body: '{}' }), 0, plainScreen(100))).to.match(
      /\nholds +empty: it asks whose/,
    )
  })

  it('shows that EDUs are searched, how many go at once, and when', () => {
    const edus = [{ edu_type: 'm.typing', position: 9 }]
    const over: Partial<PreviewAnswer> = { what: 'half', edus, bytes: 9, body: '{}' }
    const shown = showPreview(
      answer({ ...over, edu_search: { most: 4, not_before: 60_000 } }),
      0,
      plainScreen(100),
    )
    expect(shown).to.match(
      /\nEDUs for d\.example are searched: at most 4 go at once, without PDUs; none\s+goes\s+before 1m from\s+now$/,
    )
    expect(
      showPreview(answer({ ...over, edu_search: { most: 1, not_before: null } }), 0, plainScreen(100)),
    ).to.match(/at most 1 goes at once, without PDUs$/)
  })

  it('says that nothing would go, and that a catch-up begins first', () => {
    expect(showPreview(answer({ reason: 'nothing is owed' }), 0, plainScreen(100))).to.equal(
      'nothing would be sent to d.example: nothing is owed',
    )
    expect(showPreview(answer({ catch_up_begins: true, first: 'catch_up' }), 0, plainScreen(100))).to.match(
      /^a catch-up of d\.example begins first: /,
    )
  })
})
