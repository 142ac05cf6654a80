import { expect } from 'chai'
import { ageText, cut, distance, facts, moment, table, wrap } from '../../../src/cli/admin/table.ts'

describe('tables for people', () => {
  it('puts columns below their titles, numbers at the right, a dash where there is nothing', () => {
    const rows = [
      { name: 'a', n: 12345 },
      { name: 'long name', n: null },
    ]
    const columns = [
      { title: 'NAME', value: (row: (typeof rows)[number]) => row.name },
      { title: 'N', value: (row: (typeof rows)[number]) => row.n, right: true },
    ]
    expect(table(rows, columns)).to.equal('NAME            N\na          12,345\nlong name       -')
  })

  it('cuts names in the middle until the table fits, and never below what a column needs', () => {
    const name = `${'a'.repeat(60)}.${'b'.repeat(60)}`
    const columns = [
      { title: 'NAME', value: () => name, shrinkTo: 20 },
      { title: 'OTHER', value: () => name, shrinkTo: 20 },
      { title: 'N', value: () => 5, right: true },
    ]
    for (const width of [60, 100, 200]) {
      const lines = table([1], columns, width).split('\n')
      for (const line of lines) expect(line.length).to.be.at.most(width)
      expect(lines[1]).to.match(/^a+….*b\.?b+ +5$|^a+…b+ +.*5$/)
    }
  })

  it('lets no control character through to the terminal', () => {
    const evil = 'a\u001b[2Jb\u202ec\nd'
    expect(table([1], [{ title: 'X', value: () => evil }])).to.equal('X\na�[2Jb�c�d')
    expect(facts([['x', evil]])).to.equal('x  a�[2Jb�c�d')
    expect(wrap(evil, 0)).to.equal('a�[2Jb�c�d')
  })

  it('cuts in the middle by characters, not by halves of one', () => {
    expect(cut('abcdefgh', 5)).to.equal('ab…gh')
    expect(cut('abcde', 5)).to.equal('abcde')
    expect(cut('😀😀😀😀😀', 3)).to.equal('😀…😀')
  })

  it('wraps sentences, indented, and cuts a word that is longer than a line', () => {
    expect(wrap('one two three four', 2, 9)).to.equal('one two\n  three\n  four')
    for (const line of wrap(`why: ${'x'.repeat(300)} end`, 4, 40).split('\n')) {
      expect(line.length).to.be.at.most(40)
    }
    expect(wrap('  already indented', 4, 80)).to.equal('  already indented')
  })

  it('tells ages and moments', () => {
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
  })
})
