import { expect } from 'chai'
import type { EventAnswer } from '../../../src/cli/admin/answers.ts'
import { showExplain } from '../../../src/cli/admin/explain.ts'
import { plainScreen } from '../../../src/cli/screen.ts'

describe('limpet explain', () => {
  const line = {
    destination: 'd.example',
    outcome: 'acknowledged',
    as: null,
    txn_id: null,
    at: null,
    why: null,
  }
  const event: EventAnswer = {
    ...{ event_id: '$1', room_id: '!a:us', position: 7, received: 0, sticky_until: null },
    destinations: [line],
  }

  it('of an event says its room', () => {
    expect(showExplain(event, 0, plainScreen(100))).to.match(/^event +\$1\nroom +!a:us\nposition +7\n/)
  })

  it('of a to-device message says its id, and no room', () => {
    const shown = showExplain(
      { ...event, event_id: null, room_id: null, message_id: 'm1' },
      0,
      plainScreen(100),
    )
    expect(shown).to.match(/^to-device message +m1\nposition +7\n/)
    expect(shown).to.match(/\nd\.example +acknowledged/)
    expect(shown).not.to.match(/room|event|delivered/)
  })
})
