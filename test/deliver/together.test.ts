import { expect } from 'chai'
import { makeTogether } from '../../src/deliver/together.ts'
import { FROZEN_TOGETHER, type Repeated } from '../../src/store/delivery/acknowledge-and-freeze.ts'
import { FEW_BY_KEY } from '../../src/store/prepare.ts'

describe('statements that destinations share', () => {
  it('hold as many as each kind allows: two hundred that are frozen, no more looks than are planned once', async () => {
    const sizes: number[] = []
    const pool = {
      query: (_text: string, [destinations]: unknown[][]) => {
        sizes.push(destinations?.length ?? 0)
        return Promise.resolve({ rows: [], rowCount: 0 })
      },
    }
    const together = makeTogether(pool as never)
    const held = (destination: number) => ({ worker: 'w', destination, fence: 1 })
    const again = (destination: number): Repeated => ({ held: held(destination), again: 't' })
    await Promise.all(Array.from({ length: 450 }, (_, i) => together.freeze.add(again(i))))
    expect(sizes.splice(0)).to.deep.equal([FROZEN_TOGETHER, FROZEN_TOGETHER, 50])
    await Promise.all(Array.from({ length: 40 }, (_, i) => together.load.add(held(i))))
    expect(sizes).to.deep.equal([FEW_BY_KEY, 40 - FEW_BY_KEY])
  })
})
