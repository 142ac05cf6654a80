/** Arrays that are parameters come to PostgreSQL as they were given. */
import { expect } from 'chai'
import fc from 'fast-check'
import { withArrayText } from '../../src/store/array-text.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { variants } from '../../src/store/statement.ts'
import { freshDatabase } from '../support/postgres.ts'

const asked = variants('list the attempts')

describe('an array that is a parameter', () => {
  let pool: Pool

  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 1 })
  })
  after(() => pool.end())

  it('arrives as it was given, whatever is in its texts', async () => {
    const odd = fc.constantFrom(
      '',
      ' ',
      'null',
      'NULL',
      '"',
      '\\',
      '\\"',
      '{',
      '}',
      ',',
      'a b',
      "'",
      '\n',
      '\\x00',
      'ö€😀',
    )
    const text = fc.option(fc.oneof(odd, fc.string({ unit: 'grapheme' }), fc.stringMatching(/^[\\",{} ]*$/)))
    const arrays = fc.sample(fc.array(text, { maxLength: 20 }), 300).map((them) =>
      // No text of PostgreSQL has this character.
      them.map((one) => one?.replaceAll('\0', '') ?? null),
    )
    const read = asked('select $1::text[] as them')
    for (const them of arrays) expect((await pool.query(read, [them])).rows).to.deep.equal([{ them }])
  })

  it('may be of numbers, truth values and nulls', async () => {
    const values = [[1, null, -2, 2 ** 53 - 1], [true, undefined, false], [0.5, 1e21, -0], [], [null, null]]
    const read = asked(
      'select ($1::bigint[])::text as a, $2::boolean[] as b, $3::float8[] as c, $4::int[] as d, $5::text[] as e',
    )
    expect((await pool.query(read, values)).rows).to.deep.equal([
      {
        a: '{1,NULL,-2,9007199254740991}',
        b: [true, null, false],
        c: [0.5, 1e21, 0],
        d: [],
        e: [null, null],
      },
    ])
  })

  it('is left to the driver where it holds anything else, as all that is no array', () => {
    for (const value of [
      [[1]],
      [{ a: 1 }],
      [1, Buffer.from('a')],
      [1n],
      'a',
      1,
      null,
      Buffer.from('a'),
      { a: [1] },
    ])
      expect(withArrayText(value)).to.equal(value)
  })
})
