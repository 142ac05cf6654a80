import { expect } from 'chai'
import { CASES } from './cases.ts'
import { differences } from './check-case.ts'
import { useLoopback } from './loopback.ts'
import type { Case } from './situation.ts'

describe('discovery, by the table of docs/discovery-cases.md', () => {
  const loopback = useLoopback()

  for (const wanted of CASES) {
    it(`${wanted.row}: ${wanted.about}`, async () => {
      expect(await differences(wanted, loopback())).to.deep.equal([])
    })
  }

  it('has a row for each step and rule of the specification', () => {
    const rows = new Set(CASES.map(({ row }) => row))
    const all = [
      'D1',
      'D2',
      'D3',
      'D3.1',
      'D3.2',
      'D3.3',
      'D3.4',
      'D3.5',
      'D4',
      'D5',
      'D6',
      'D7',
      'D8',
      'D9',
      'D10',
      'D11',
      'D12',
    ]
    expect([...rows].sort()).to.have.members(all)
  })

  describe('if a cell were another one', () => {
    const caseOf = (row: string) => CASES.find((one) => one.row === row)!
    const changed: [cell: string, row: string, change: Partial<Case['found']>, line: string][] = [
      ['Host', 'D3.1', { host: '127.0.0.1:8448' }, 'host: wanted "127.0.0.1:8448", got "127.0.0.1"'],
      ['SNI', 'D1', { sni: '127.0.0.1' }, 'sni: wanted "127.0.0.1", got null'],
      [
        'Certificate',
        'D3.3',
        { certificate: 'c.example' },
        'certificate: wanted "c.example", got "b.example"',
      ],
      [
        'Connects to',
        'D4',
        { connect: ['a.example:8448'] },
        'connect: wanted ["a.example:8448"], got ["c.example:8000"]',
      ],
      ['Step', 'D5', { step: '4' }, 'step: wanted "4", got "5"'],
    ]
    for (const [cell, row, change, line] of changed) {
      it(`the test of row ${row} would fail: ${cell}`, async () => {
        const right = caseOf(row)
        const wrong = { ...right, found: { ...right.found!, ...change } }
        expect(await differences(wrong, loopback())).to.include(line)
      })
    }

    it('and if steps were left out', async () => {
      const lines = await differences({ ...caseOf('D6'), steps: ['3', '6'] }, loopback())
      expect(lines).to.deep.equal(['steps: wanted ["3","6"], got ["3","4","5","6"]'])
    })
  })
})
