import { expect } from 'chai'
import { findRespelled, respelled } from '../../src/matrix/respelling.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'

describe('a number that is read and written again', () => {
  // Each as CPython 3.12's json.loads and json.dumps make it.
  const written: [string, string | null][] = [
    ['1.5', '1.5'],
    ['1.50', '1.5'],
    ['1e3', '1000.0'],
    ['1000.0', '1000.0'],
    ['-0', '0'],
    ['-0.0', '-0.0'],
    ['0.0', '0.0'],
    ['0e5', '0.0'],
    ['1E+22', '1e+22'],
    ['1e+22', '1e+22'],
    ['1e22', '1e+22'],
    ['1e15', '1000000000000000.0'],
    ['1e16', '1e+16'],
    ['1.2345678901234568e+17', '1.2345678901234568e+17'],
    ['123456789012345680.0', '1.2345678901234568e+17'],
    ['9007199254740993.0', '9007199254740992.0'],
    ['0.0001', '0.0001'],
    ['0.00001', '1e-05'],
    ['-1.5e-7', '-1.5e-07'],
    ['5e-324', '5e-324'],
    ['1.7976931348623157e+308', '1.7976931348623157e+308'],
    ['1e-400', '0.0'],
    ['1e400', null],
    ['-1e400', null],
    ['9007199254740993', '9007199254740993'],
    ['-123456789012345678901234567890', '-123456789012345678901234567890'],
  ]
  for (const [text, spelled] of written) {
    it(`${text} becomes ${spelled ?? 'an error'}`, () => {
      expect(respelled(text)).to.equal(spelled)
    })
  }

  it('is kept as an integer of up to 4,300 digits, beyond which Python reads none', () => {
    for (const sign of ['', '-']) {
      const longest = sign + '7'.repeat(4300)
      expect(respelled(longest)).to.equal(longest)
      expect(respelled(`${longest}7`)).to.equal(null)
    }
  })

  it('is found wherever it stands', () => {
    expect(findRespelled(parseJson('{"a":[1,{"b":1.50}],"c":1e3}'))).to.equal('a.1.b')
    expect(findRespelled(parseJson('[1.5,[],{},null,"1e3",true]'))).to.equal(null)
    expect(findRespelled(parseJson('1e3'))).to.equal('')
  })
})
