import { expect } from 'chai'
import { ageText, counted, distance, moment, shownOf } from '../../../src/cli/admin/ages.ts'
import { broken, cut, lengthOf } from '../../../src/cli/admin/letters.ts'
import { table, type Column } from '../../../src/cli/admin/table.ts'
import { facts, wrap } from '../../../src/cli/admin/wrap.ts'
import { plainScreen } from '../../../src/cli/screen.ts'

interface Row {
  name: string
  n: number | null
}
const NAME: Column<Row> = { title: 'NAME', value: ({ name }) => name, id: 'name' }
const N: Column<Row> = { title: 'N', value: ({ n }) => n, right: true }
const long = 'x'.repeat(30)

describe('tables for people', () => {
  it('puts columns below their titles, numbers at the right, a dash where there is nothing', () => {
    const rows = [
      { name: 'a', n: 12345 },
      { name: 'long name', n: null },
    ]
    expect(table(rows, [NAME, N], 100)).to.equal('NAME            N\na          12,345\nlong name       -')
  })

  it('puts an id that does not fit above its row, and leaves the other rows as they are', () => {
    const rows = [
      { name: 'short', n: 1 },
      { name: long, n: 2 },
    ]
    expect(table(rows, [NAME, N], 24)).to.equal(`NAME   N\nshort  1\n${long}\n       2`)
  })

  it('puts all above where few fit, and what belongs to them a little farther in', () => {
    const rows = [long, `${long}y`].map((name) => ({ name, n: 7 }))
    expect(table(rows, [NAME, N], 24)).to.equal(`NAME\n  N\n${long}\n  7\n${long}y\n  7`)
  })

  it('puts other ids that do not fit below their row, after what they are', () => {
    const rows = [{ name: 'a', n: 1, room: '!r'.padEnd(18, 'r') }]
    const ROOM = { title: 'ROOM', value: ({ room }: { room: string }) => room, id: 'room' }
    expect(table(rows, [NAME, N, ROOM] as Column<(typeof rows)[number]>[], 20)).to.equal(
      'NAME  N\na     1\nroom\n  !rrrrrrrrrrrrrrrrr'.replace('room\n  ', '    room\n  '),
    )
    expect(table(rows, [NAME, N, ROOM] as Column<(typeof rows)[number]>[], 23)).to.equal(
      `NAME  N\na     1\nroom ${rows[0]?.room ?? ''}`,
    )
  })

  it('leaves out what is spare, the highest first, before the ids have too little room', () => {
    const spare = (title: string, rank: number): Column<Row> => ({ title, value: () => 'value', spare: rank })
    const columns = [NAME, spare('FIRST', 2), N, spare('SECOND', 1)]
    const titles = (width: number) => table([{ name: long.slice(4), n: 5 }], columns, width).split('\n')[0]
    expect(titles(60)).to.match(/^NAME +FIRST +N +SECOND$/)
    expect(titles(40)).to.match(/^NAME +N +SECOND$/)
    expect(titles(34)).to.match(/^NAME +N$/)
  })

  it('cuts what may be cut in the middle until the table fits, and never below what it needs', () => {
    const columns = [
      { title: 'A', value: () => 'a'.repeat(90), shrinkTo: 20 },
      { title: 'B', value: () => 'b'.repeat(90), shrinkTo: 20 },
      N,
    ]
    for (const width of [60, 100, 200]) {
      const [, line = ''] = table([{ name: '', n: 5 }], columns, width).split('\n')
      expect(line.length).to.be.at.most(width)
      expect(line).to.match(/^a+…?a* +b+…?b* +5$/)
    }
  })

  it('counts columns as a terminal does', () => {
    expect(lengthOf('日本')).to.equal(4)
    expect(lengthOf('e\u0301')).to.equal(1)
    expect(lengthOf('😀')).to.equal(2)
    expect(
      table(
        [
          { name: '日本', n: 1 },
          { name: 'abcd', n: 1 },
        ],
        [NAME, N],
        100,
      ),
    ).to.equal('NAME  N\n日本  1\nabcd  1')
    expect(broken('日本語', 3)).to.deep.equal(['日', '本', '語'])
  })

  it('lets no control character through to the terminal', () => {
    const evil = 'a\u001b[2Jb\u202ec\nd\u0001x'
    expect(table([1], [{ title: 'X', value: () => evil }], 100)).to.equal('X\na�[2Jb�c�d�x')
    expect(facts([['x', evil]], plainScreen(80))).to.equal('x  a�[2Jb�c�d�x')
    expect(wrap(evil, 0, 100)).to.equal('a�[2Jb�c�d�x')
  })

  it('cuts in the middle by characters, not by halves of one', () => {
    expect(cut('abcdefgh', 5)).to.equal('ab…gh')
    expect(cut('abcde', 5)).to.equal('abcde')
    expect(cut('😀😀😀😀😀', 5)).to.equal('😀…😀')
  })

  it('wraps sentences, indented, breaks a word that is longer than a line, and leaves nothing out', () => {
    expect(wrap('one two three four', 2, 9)).to.equal('one two\n  three\n  four')
    const lines = wrap(`why: ${'x'.repeat(300)} end`, 4, 40).split('\n')
    for (const line of lines) expect(line.length).to.be.at.most(40)
    expect(lines.join('').replaceAll(' ', '')).to.equal(`why:${'x'.repeat(300)}end`)
    expect(wrap('  already indented', 4, 80)).to.equal('  already indented')
  })

  it('keeps an id in one piece, on a line of its own as far in as it can be', () => {
    expect(wrap(`sent to ${long} just now`, 4, 32, [long])).to.equal(`sent to\n  ${long}\n    just now`)
    expect(wrap(`sent to ${long} now`, 4, 20, [long])).to.equal(`sent to\n${long}\n    now`)
    expect(facts([['name', { id: long }]], plainScreen(32))).to.equal(`name\n  ${long}`)
  })

  it('tells ages, moments and counts', () => {
    const cases: [number | null, string | null][] = [
      ...([
        [null, null],
        [0, '0s'],
        [59_999, '59s'],
        [60_000, '1m'],
        [7_300_000, '2h'],
        [9e8, '10d'],
      ] as const),
    ].map(([ms, text]) => [ms, text])
    for (const [ms, text] of cases) expect(ageText(ms)).to.equal(text)
    expect(distance(1000, 181_000)).to.equal('3m ago')
    expect(distance(181_000, 1000)).to.equal('in 3m')
    expect(moment(0)).to.equal('1970-01-01 00:00:00')
    expect([0, 1, 2, 1234.5].map((n) => counted(n, 'PDU'))).to.deep.equal([
      ...['0 PDUs', '1 PDU', '2 PDUs', '1,234.5 PDUs'],
    ])
    expect(shownOf(100, 2000)).to.equal('100 of 2,000 (--all shows all)')
    expect(shownOf(1, 1)).to.equal('1 of 1')
  })
})
