import { expect } from 'chai'
import {
  ends,
  gotOf,
  isOf,
  makeFaults,
  type FailedTry,
  type Got,
  type WhoseFault,
} from '../../../src/deliver/rules/own-trouble.ts'

const MINUTE = 60_000
const T = 1_700_000_000_000

interface Given {
  /** Known destinations that failed so, each a second after the one before. */
  failed?: readonly [count: number, got: Got][]
  /** The same for those that have not answered for a day. */
  unknown?: readonly [count: number, got: Got][]
  /** Minutes before the last failure at which a 200 came. */
  answered?: number
  /** Minutes from the last failure to when it is judged; default 0. */
  later?: number
}

function given({ failed = [], unknown = [], answered, later = 0 }: Given) {
  const faults = makeFaults<FailedTry>()
  const all = [
    ...failed.flatMap(([count, got]) => Array.from({ length: count }, () => ({ got, known: true }))),
    ...unknown.flatMap(([count, got]) => Array.from({ length: count }, () => ({ got, known: false }))),
  ]
  const last = T + all.length * 1_000
  if (answered !== undefined) faults.answered(last - answered * MINUTE)
  for (const [index, one] of all.entries())
    faults.failed({ ...one, destination: index, at: T + (index + 1) * 1_000 })
  return { faults, now: last + later * MINUTE }
}

const THEIRS: WhoseFault = { whose: 'theirs' }
const ours = (kind: 'no_answer' | 'refused_401'): WhoseFault => ({ whose: 'ours', kind })
const ifAll = (kind: 'no_answer' | 'refused_401'): WhoseFault => ({ whose: 'ours if these are all', kind })

const CASES: readonly [string, Given, WhoseFault][] = [
  ['nothing was tried', {}, THEIRS],
  ['two cannot be reached', { failed: [[2, 'nothing']] }, THEIRS],
  ['three cannot be reached', { failed: [[3, 'nothing']] }, ifAll('no_answer')],
  ['nineteen cannot be reached', { failed: [[19, 'nothing']] }, ifAll('no_answer')],
  ['twenty cannot be reached', { failed: [[20, 'nothing']] }, ours('no_answer')],
  ['twenty, and one answered a minute ago', { failed: [[20, 'nothing']], answered: 1 }, THEIRS],
  [
    'twenty, and one answered three minutes ago',
    { failed: [[20, 'nothing']], answered: 3 },
    ours('no_answer'),
  ],
  [
    'twenty, and one of them answers 500',
    {
      failed: [
        [20, 'nothing'],
        [1, 'other'],
      ],
    },
    THEIRS,
  ],
  [
    'twenty, and one of them answers 401: a name that moved says nothing of our key',
    {
      failed: [
        [20, 'nothing'],
        [1, '401'],
      ],
    },
    THEIRS,
  ],
  ['twenty, longer than two minutes ago', { failed: [[20, 'nothing']], later: 2.1 }, THEIRS],
  ['a thousand that are not known', { unknown: [[1_000, 'nothing']] }, THEIRS],
  [
    'a thousand that are not known, and two',
    { failed: [[2, 'nothing']], unknown: [[1_000, 'nothing']] },
    THEIRS,
  ],
  [
    'one that is not known answers 500: it may be nearer than all others',
    { failed: [[20, 'nothing']], unknown: [[1, 'other']] },
    ours('no_answer'),
  ],
  ['two answer 401', { failed: [[2, '401']] }, THEIRS],
  ['three answer 401', { failed: [[3, '401']] }, ifAll('refused_401')],
  ['twenty answer 401', { failed: [[20, '401']] }, ours('refused_401')],
  [
    'twenty answer 401, and one cannot be reached',
    {
      failed: [
        [20, '401'],
        [1, 'nothing'],
      ],
    },
    ours('refused_401'),
  ],
  [
    'twenty answer 401, and one 500',
    {
      failed: [
        [20, '401'],
        [1, 'other'],
      ],
    },
    THEIRS,
  ],
  ['twenty answer 401, and one 200', { failed: [[20, '401']], answered: 1 }, THEIRS],
  ['one that answers 401 for ever', { failed: [[1, '401']], answered: 5 }, THEIRS],
]

describe('whose fault it is that attempts fail', () => {
  for (const [what, how, verdict] of CASES) {
    it(what, () => {
      const { faults, now } = given(how)
      expect(faults.verdict(now)).to.deep.equal(verdict)
    })
  }

  it('a destination counts once, with what became of it last', () => {
    const faults = makeFaults<FailedTry>()
    for (let n = 0; n < 60; n += 1)
      faults.failed({ destination: n % 2, at: T + n, got: 'nothing', known: true })
    expect(faults.verdict(T + 60)).to.deep.equal(THEIRS)
  })

  it('a clock that is set back makes no answer one that is to come', () => {
    const faults = makeFaults<FailedTry>()
    faults.answered(T)
    const back = T - 60 * MINUTE
    expect(faults.verdict(back)).to.deep.equal(THEIRS)
    for (let n = 0; n < 20; n += 1)
      faults.failed({ destination: n, at: back + 3 * MINUTE + n, got: 'nothing', known: true })
    expect(faults.verdict(back + 3 * MINUTE + 20)).to.deep.equal(ours('no_answer'))
  })

  it('what is given back is what such a trouble looks like, known or not, and nothing older', () => {
    const faults = makeFaults<FailedTry>()
    faults.failed({ destination: 1, at: T, got: 'nothing', known: true })
    faults.failed({ destination: 2, at: T + 3 * MINUTE, got: 'nothing', known: true })
    faults.failed({ destination: 3, at: T + 3 * MINUTE, got: 'nothing', known: false })
    faults.failed({ destination: 4, at: T + 3 * MINUTE, got: 'other', known: true })
    faults.failed({ destination: 5, at: T + 3 * MINUTE, got: '401', known: true })
    const taken = (kind: 'no_answer' | 'refused_401') =>
      faults.takeOf(kind, T + 3 * MINUTE).map(({ destination }) => destination)
    expect(taken('no_answer')).to.deep.equal([2, 3])
    expect(taken('no_answer')).to.deep.equal([])
    expect(taken('refused_401')).to.deep.equal([5])
  })

  it('any HTTP answer ends the one, and a 200 the other', () => {
    const all = ['nothing', '401', 'other', 'answer'] as const
    expect(all.filter((got) => ends('no_answer', got))).to.deep.equal(['401', 'other', 'answer'])
    expect(all.filter((got) => ends('refused_401', got))).to.deep.equal(['answer'])
    expect(isOf('refused_401', '401')).to.equal(true)
    expect(isOf('no_answer', '401')).to.equal(false)
  })

  it('a defect of ours says nothing of the network', () => {
    expect(gotOf({ stage: 'internal', status: null })).to.equal(null)
    expect(gotOf({ stage: 'aborted', status: null })).to.equal(null)
    expect(gotOf({ stage: 'discovery', status: null })).to.equal('nothing')
    expect(gotOf({ stage: 'http', status: 401 })).to.equal('401')
    expect(gotOf({ stage: 'http', status: 429 })).to.equal('other')
  })
})
