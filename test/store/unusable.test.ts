/** Why a database can't be used: the same words for every caller, and nothing of a password. */
import { expect } from 'chai'
import { UnfitDatabaseError } from '../../src/store/fitness.ts'
import { ReadOnlyError } from '../../src/store/takes-writes.ts'
import { unusable, UnusableDatabaseError } from '../../src/store/unusable.ts'

const url = 'postgres://u:hidden@db.example:6000/d?password=hidden'
const withCode = (message: string, code: string) => Object.assign(new Error(message), { code })

describe('what is said of a database that can not be used', () => {
  for (const [what, error, line] of [
    [
      'one that is not there',
      withCode('connect ECONNREFUSED', 'ECONNREFUSED'),
      "can't be reached (connect ECONNREFUSED): is it running, and is the address right?",
    ],
    [
      'one with several addresses, none of which answers',
      new AggregateError([withCode('connect ECONNREFUSED ::1', 'ECONNREFUSED'), new Error('other')]),
      "can't be reached (connect ECONNREFUSED ::1): is it running, and is the address right?",
    ],
    [
      'one that knows no such user',
      withCode('password authentication failed', '28P01'),
      'refused the login (password authentication failed): check user, password and database name',
    ],
    [
      'one that does not exist',
      withCode('database "d" does not exist', '3D000'),
      'refused the login (database "d" does not exist): check user, password and database name',
    ],
    [
      'a standby',
      new ReadOnlyError('this server is a standby'),
      'accepts no writes (this server is a standby): use the address of the primary',
    ],
  ] as const)
    it(what, () => {
      for (const connecting of [true, false]) {
        const said = unusable(error, { url, connecting })
        expect(said).to.be.instanceOf(UnusableDatabaseError).with.property('cause', error)
        expect((said as Error).message).to.equal(`the database at db.example:6000/d ${line}`)
      }
    })

  it('whatever else went wrong while only that was asked, and nothing otherwise', () => {
    const error = withCode('column "x" does not exist', '42703')
    expect(unusable(error, { url })).to.equal(error)
    expect(unusable(error, { url, named: "Synapse's database", connecting: true })).to.include({
      message: `Synapse's database at db.example:6000/d can't be used: column "x" does not exist`,
    })
  })

  it('nothing where it is said already', () => {
    for (const error of [new UnfitDatabaseError('behind a pooler'), new UnusableDatabaseError('away')])
      expect(unusable(error, { url, connecting: true })).to.equal(error)
  })
})
