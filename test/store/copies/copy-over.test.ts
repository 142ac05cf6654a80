/** A copy that is to take the place of its source: not of one that is being written to. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { copyOver } from '../../../src/store/copies/copy-over.ts'
import { DumpError } from '../../../src/store/copies/dump-error.ts'
import { freshDatabase } from '../../support/postgres.ts'

describe('a copy from one database to another', () => {
  let source: Pool
  let target: Pool
  before(async () => {
    source = openPool({ url: (await freshDatabase()).url, max: 2, name: 'test' })
    target = openPool({ url: (await freshDatabase({ migrated: false })).url, max: 2, name: 'test' })
  })
  after(() => Promise.all([source.end(), target.end()]))

  const copy = (onTable?: (name: string) => void) =>
    copyOver({ source, target, version: '1.2.3', serverName: 'a.example', onTable })
  const isEmpty = async () =>
    (await target.query(`select from pg_tables where schemaname = 'public'`)).rowCount === 0
  const refusal = async (copying: Promise<unknown>): Promise<string> => {
    const error = await copying.then(
      () => 'it was copied',
      (thrown: unknown) => thrown,
    )
    expect(error).to.be.instanceOf(DumpError)
    expect(await isEmpty()).to.equal(true)
    return (error as Error).message
  }

  it('is undone if something was written to the source meanwhile', async () => {
    const writes: Promise<unknown>[] = []
    const why = await refusal(copy(() => writes.push(source.query('update stream set head = head + 1'))))
    expect(why).to.equal('something was written to the database that was copied: the copy was undone')
    await Promise.all(writes)
  })

  it('is refused while a process holds a lease there, and while limpet is connected', async () => {
    await source.query(
      `insert into workers (id, name, lease_until) values (gen_random_uuid(), 'one', now_ms() + 600000)`,
    )
    expect(await refusal(copy())).to.include(
      'limpet runs on the database that would be copied (0 connections, 1 leases)',
    )
    await source.query('delete from workers')
    const { connectionString: url = '' } = source.options
    const limpet = openPool({ url, max: 1 })
    await limpet.query('select 1')
    expect(await refusal(copy())).to.include('(1 connections, 0 leases)')
    await limpet.end()
  })

  it('changes nothing in the source, and is whole', async () => {
    const rows = async (pool: Pool) =>
      (await pool.query<{ head: number; version: string }>('select head, version from stream, block_list'))
        .rows
    const before = await rows(source)
    await copy()
    expect(await rows(source)).to.deep.equal(before)
    expect(await rows(target)).to.deep.equal(before)
  })
})
