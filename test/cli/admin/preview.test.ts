import { expect } from 'chai'
import type { PreviewAnswer } from '../../../src/cli/admin/answers.ts'
import { showPreview } from '../../../src/cli/admin/preview.ts'

const answer = (over: Partial<PreviewAnswer>): PreviewAnswer => ({
  ...{
    destination: 'd.example',
    reason: 'goes out next: 1 PDU',
    next_attempt: null,
    txn_id: null,
    attempts: 0,
  },
  ...{ catch_up_begins: false, pdus: [], bytes: 0, body: null, ...over },
})
const pdu = { event_id: '$1', room_id: '!a:us', position: 7, as: 'sticky_replay' } as const

describe('limpet preview', () => {
  it('shows what would go', () => {
    const shown = showPreview(answer({ pdus: [pdu], bytes: 120, body: '{}' }), 0)
    expect(shown).to.match(
      /^destination +d\.example\ntransaction +not made yet: it gets its id when it is sent\n/,
    )
    expect(shown).to.match(/\nsize +120 bytes\n/)
    expect(shown).to.match(/\nPOSITION +EVENT +ROOM +AS\n +7 +\$1 +!a:us +sticky replay$/)
    expect(shown).not.to.include('not before')
  })

  it('shows what is unanswered, and when it goes again', () => {
    const open = { txn_id: 'open1', attempts: 3, pdus: [pdu], bytes: 120, body: '{}', next_attempt: 90_000 }
    const shown = showPreview(answer(open), 0)
    expect(shown).to.match(/\ntransaction +open1\nrequests so far +3\n/)
    expect(shown).to.match(/\nnot before +in /)
  })

  it('says that nothing would go, and that a catch-up begins first', () => {
    expect(showPreview(answer({ reason: 'nothing is owed' }), 0)).to.equal(
      'nothing would be sent to d.example: nothing is owed',
    )
    expect(showPreview(answer({ catch_up_begins: true }), 0)).to.match(
      /^a catch-up of d\.example begins first: /,
    )
  })
})
