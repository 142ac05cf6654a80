/** A lane of which most is replaced is read farther at once; what is read is still its beginning. */
import { expect } from 'chai'
import { readEphemeral } from '../../src/deliver/read-ephemeral.ts'
import type { StoredEdu } from '../../src/store/delivery/edus.ts'

const ROWS = 10

describe('the reading of EDUs that are not durable', () => {
  const edu = (pos: number, key: string | null): StoredEdu => ({
    ...{ pos, eduType: 'm.presence', content: 'x'.repeat(10), receivedTs: 0, expiresAt: 1 },
    ...{ durable: false, alone: false, key, who: null },
  })
  /** Of a lane of so many, each after a hole. `asked`: from where it was read. */
  const lane = (count: number, keys: number) => {
    const all = Array.from({ length: count }, (_, i) => edu(2 * i + 2, `${i % keys}`))
    const asked: number[] = []
    const upto = 2 * count + 5
    const read = (most: { rows: number; bytes: number } = { rows: ROWS, bytes: 1_000 }) =>
      readEphemeral(
        (after, { rows, bytes }) => {
          asked.push(after)
          const edus = all.filter(({ pos }) => pos > after).slice(0, rows)
          let sum = 0
          const texts = edus.map((one, i) => {
            sum += 11
            return i === 0 || sum <= bytes ? one : { ...one, content: null }
          })
          return Promise.resolve({
            edus: texts,
            upto: edus.length < rows ? upto : (edus.at(-1)?.pos ?? upto),
          })
        },
        { after: 0, upto },
        most,
      )
    return { asked, upto, read }
  }

  it('goes on where few of them go, and leaves out what is replaced, but for the oldest', async () => {
    const { asked, upto, read } = lane(34, 3)
    const found = await read()
    expect(asked).to.deep.equal([0, 20, 40, 60])
    expect(found.upto).to.equal(upto)
    expect(found.edus.map(({ pos }) => pos)).to.deep.equal([2, 56, 58, 60, 62, 64, 66, 68])
  })

  it('ends after five, and where it has enough', async () => {
    const far = lane(1_000, 3)
    expect((await far.read()).upto).to.equal(100)
    expect(far.asked).to.have.length(5)
    const different = lane(1_000, 1_000)
    expect((await different.read()).edus).to.have.length(ROWS)
    expect(different.asked).to.deep.equal([0])
  })

  it('reads once what is not full', async () => {
    const { asked, read } = lane(9, 3)
    expect((await read()).edus).to.have.length(9)
    expect(asked).to.deep.equal([0])
  })

  it('reads no more texts than it may', async () => {
    const { asked, read } = lane(1_000, 3)
    const bytesOf = (edus: readonly StoredEdu[]) =>
      edus.reduce((sum, { content }) => sum + (content?.length ?? 0), 0)
    const found = await read({ rows: ROWS, bytes: 150 })
    expect(bytesOf(found.edus)).to.be.at.most(150)
    expect(asked.length).to.be.above(1)
    const cut = await read({ rows: ROWS, bytes: 60 })
    expect(cut.edus.map(({ content }) => content === null)).to.include(true)
    expect(cut.edus).to.have.length(ROWS)
  })
})
