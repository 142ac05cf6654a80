import { expect } from 'chai'
import fc from 'fast-check'
import { inDialOrder } from '../../src/wire/address-order.ts'
import { makeWorked } from '../../src/wire/worked.ts'
import { targetAt } from './dialling.ts'

describe('the order of addresses', () => {
  const cases: [string, string[], string | null, string[]][] = [
    [
      'families alternate, the first given begins',
      ['::1', '::2', '::3', '1.1.1.1', '2.2.2.2'],
      null,
      ['::1', '1.1.1.1', '::2', '2.2.2.2', '::3'],
    ],
    [
      'IPv4 begins where it was given first',
      ['1.1.1.1', '2.2.2.2', '::1'],
      null,
      ['1.1.1.1', '::1', '2.2.2.2'],
    ],
    [
      'each family keeps its order',
      ['::9', '1.1.1.9', '::1', '1.1.1.1'],
      null,
      ['::9', '1.1.1.9', '::1', '1.1.1.1'],
    ],
    [
      'what worked goes first, and its family begins',
      ['::1', '::2', '1.1.1.1', '2.2.2.2'],
      '2.2.2.2',
      ['2.2.2.2', '::1', '1.1.1.1', '::2'],
    ],
    ['what worked and is given no more is not tried', ['::1', '1.1.1.1'], '9.9.9.9', ['::1', '1.1.1.1']],
    ['none twice', ['::1', '::1', '1.1.1.1', '::1'], '::1', ['::1', '1.1.1.1']],
    ['one family alone', ['3.3.3.3', '1.1.1.1'], null, ['3.3.3.3', '1.1.1.1']],
    ['none', [], '::1', []],
  ]
  for (const [what, given, worked, expected] of cases)
    it(what, () => expect(inDialOrder(given, worked)).to.deep.equal(expected))

  it('loses none, adds none, and never has a family twice while the other one waits', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6())
    fc.assert(
      fc.property(fc.array(address, { maxLength: 8 }), address, (given, worked) => {
        const order = inDialOrder(given, worked)
        expect([...order].sort()).to.deep.equal([...new Set(given)].sort())
        const families = order.map((one) => one.includes(':')).join()
        const rest = /^(?:true,false,|false,true,)*/.exec(`${families},`)?.[0].length ?? 0
        expect(new Set(`${families},`.slice(rest).split(',').filter(Boolean)).size).to.be.below(2)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the address that worked', () => {
  const target = targetAt(['::1', '1.1.1.1'], 8448)

  it('is remembered where it was not the first, until the first works', () => {
    const worked = makeWorked()
    expect(worked.of(target)).to.equal(null)
    worked.note(target, '1.1.1.1')
    expect(worked.of(target)).to.equal('1.1.1.1')
    expect(worked.of(targetAt(['::1', '1.1.1.1'], 443))).to.equal(null)
    worked.note(target, '::1')
    expect(worked.of(target)).to.equal(null)
  })

  it('is forgotten where there are too many, the one noted longest ago first', () => {
    const worked = makeWorked(2)
    const targets = [1, 2, 3].map((port) => targetAt(['::1', '1.1.1.1'], port))
    for (const one of targets.slice(0, 2)) worked.note(one, '1.1.1.1')
    worked.note(targets[0]!, '1.1.1.1')
    worked.note(targets[2]!, '1.1.1.1')
    expect(targets.map((one) => worked.of(one))).to.deep.equal(['1.1.1.1', null, '1.1.1.1'])
  })
})
