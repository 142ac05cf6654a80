import { expect } from 'chai'
import { sayChange } from '../../src/deliver/say-change.ts'
import type { Recorded } from '../../src/deliver/record.ts'

/** What it says of one attempt, by what the destination was before it. */
function said(
  recorded: Recorded,
  waiting: { failures: number; failingSince: number | null },
  afterTakeover = false,
) {
  const lines: unknown[] = []
  const log = { info: (about: object, what: string) => lines.push({ ...about, what }) }
  const state = { name: 'remote.example', waiting }
  sayChange(log as never, { state, afterTakeover } as never, recorded)
  return lines
}

const WELL = { failures: 0, failingSince: null }
const FAILING = { failures: 3, failingSince: 1_000 }
const answered = { result: { kind: 'answered' }, judged: { kind: 'answered' } } as unknown as Recorded
const failed = (kind = 'failed') =>
  ({
    result: { kind: 'failed', stage: 'http', status: 502, message: 'answered 502' },
    judged: { kind },
  }) as unknown as Recorded
const FAILS = {
  ...{ destination: 'remote.example', stage: 'http', status: 502 },
  message: 'answered 502',
  what: 'destination is failing',
}

describe('what the log says of a destination', () => {
  it('that it begins to fail, once', () => {
    expect(said(failed(), WELL)).to.deep.equal([FAILS])
    expect(said(failed(), FAILING)).to.deep.equal([])
  })

  it('that it answers again, with how often it failed and since when', () => {
    const again = {
      destination: 'remote.example',
      failures: 3,
      failingSince: 1_000,
      what: 'destination answers again',
    }
    expect(said(answered, FAILING)).to.deep.equal([again])
    expect(said(answered, WELL)).to.deep.equal([])
  })

  it('nothing of a 429 that came because another process had just sent, and nothing of what was not written down', () => {
    expect(said(failed('busy'), WELL, true)).to.deep.equal([])
    expect(said(failed('busy'), WELL)).to.deep.equal([FAILS])
    expect(said(null, FAILING)).to.deep.equal([])
  })
})
