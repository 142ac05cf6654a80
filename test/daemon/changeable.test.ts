/** Settings that are asked for where they are used (`src/daemon/changeable.ts`). */
import { expect } from 'chai'
import { setFlagsFromString } from 'node:v8'
import { runInThisContext } from 'node:vm'
import { asking } from '../../src/daemon/changeable.ts'

describe('an object that asks for its settings', () => {
  let most: number
  beforeEach(() => (most = 1))
  const settings = {
    get most() {
      return most
    },
  }

  it('has what is so when it is read, and leaves the one that it was made of as it was', () => {
    const of = { name: 'a' }
    const made = asking(of, settings, {
      get twice() {
        return 2 * most
      },
    })
    expect([made.name, made.most, made.twice]).to.deep.equal(['a', 1, 2])
    most = 5
    expect([made.most, made.twice]).to.deep.equal([5, 10])
    expect(of).to.deep.equal({ name: 'a' })
  })

  it('is never put over what is there', () => {
    expect(() => asking({ most: 3 }, settings)).to.throw('most is there already')
    expect(() => asking({}, settings, settings)).to.throw('most is there already')
  })

  it('is as quick to read as any other', () => {
    setFlagsFromString('--allow-natives-syntax')
    const isQuick = runInThisContext('(it) => %HasFastProperties(it)') as (it: object) => boolean
    // It is compiled when it is called first.
    expect(isQuick({})).to.equal(true)
    setFlagsFromString('--no-allow-natives-syntax')
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`p${i}`, i]))
    const of = { ...many, name: 'a' }
    for (let i = 0; i < 3; i += 1) expect(isQuick(asking({ ...of, also: i }, settings))).to.equal(true)
    const over = Object.defineProperties({ ...of, most: 1 }, Object.getOwnPropertyDescriptors(settings))
    expect(isQuick(over), 'what it is not').to.equal(false)
  })
})
