import { expect } from 'chai'
import { makeBoundedMap } from '../../../src/simulate/fleet/bounded.ts'
import { readEdu } from '../../../src/simulate/fleet/edu-form.ts'
import { makeEduMemory } from '../../../src/simulate/fleet/edu-memory.ts'
import { partsOf } from '../../../src/simulate/fleet/edu-parts.ts'
import { origin } from '../../wire/setting.ts'
import { toDevice, typing } from './edus.ts'
import type { AnEdu } from './edus.ts'

const byParts = (edu: AnEdu) => {
  const read = readEdu(edu, origin)
  return { ...read, parts: partsOf(read) }
}

describe('what a fake homeserver remembers of EDUs', () => {
  it('does not grow, says how much it forgot, and still counts', () => {
    const memory = makeEduMemory({ destination: 'x', most: 10 })
    for (let n = 0; n < 3000; n++) {
      const edus = [
        toDevice(`m${n}`, '@b:x'),
        typing(true, { room: `!r${n}:x` }),
        { edu_type: `t${n}`, content: {} },
      ]
      memory.look(edus.map(byParts), `t${n}`)
      memory.take(edus.map(byParts), { txnId: `t${n}`, at: n, originServerTs: n })
      memory.take([byParts(toDevice(`m${n}`, '@b:x'))], { txnId: `u${n}`, at: n, originServerTs: n })
      memory.look([byParts(toDevice(`m${n}`, '@b:elsewhere'))], `t${n}`)
    }
    const ids = [...memory.toDevice.values()].map(({ part }) => part.messageId)
    expect(ids).to.have.length(10).and.include('m2999').and.not.include('m2989')
    expect([memory.typing.size, memory.repeats.length, memory.notEntitled.length]).to.deep.equal([
      10, 1000, 1000,
    ])
    expect(memory.forgotten).to.equal(2 * 2990)
    expect(memory.counts.get('m.direct_to_device')).to.equal(6000)
    expect(memory.counts.size).to.equal(101)
    expect([...memory.counts.values()].reduce((sum, one) => sum + one, 0)).to.equal(12_000)
  })

  it('forgets what was set longest ago', () => {
    const map = makeBoundedMap<number>(2)
    for (const [key, value] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
      ['c', 4],
    ] as const)
      map.set(key, value)
    expect([...map.kept]).to.deep.equal([
      ['a', 3],
      ['c', 4],
    ])
    expect(map.forgotten).to.equal(1)
  })
})
