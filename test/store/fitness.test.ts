/** What a database must be for limpet to work in it: each want is said in one line that says what to do. */
import { expect } from 'chai'
import { openPool } from '../../src/store/db.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { refuseUnfit, UnfitDatabaseError, type FitnessNeeds } from '../../src/store/fitness.ts'
import { freshDatabase, sharedServer, type FreshDatabase } from '../support/postgres.ts'

const NEEDS: FitnessNeeds = { queueSchema: 'limpet_queue', migrating: true }
const ROLE = 'fitness_limpet'

describe('the database is refused', () => {
  let database: FreshDatabase
  let name: string
  let url: string
  const admin = (sql: string) => query(database.url, (client) => client.query(sql))
  before(async () => {
    await query((await sharedServer()).url, (client) =>
      client.query(`create role ${ROLE} login password 'fit'`),
    )
  })
  after(async () => {
    await query((await sharedServer()).url, (client) => client.query(`drop role ${ROLE}`))
  })
  beforeEach(async () => {
    database = await freshDatabase({ migrated: false })
    name = new URL(database.url).pathname.slice(1)
    const ours = new URL(database.url)
    ours.username = ROLE
    ours.password = 'fit'
    url = ours.href
    await admin(`grant create on database ${name} to ${ROLE}; grant create on schema public to ${ROLE}`)
  })
  afterEach(() => database.drop())

  const complaint = async (needs = NEEDS): Promise<string | null> => {
    const pool = openPool({ url, max: 1 })
    try {
      await refuseUnfit(pool, needs)
      return null
    } catch (error) {
      if (!(error instanceof UnfitDatabaseError)) throw error
      expect(error.passing).to.equal(false)
      expect(error.message).not.to.include('\n')
      return error.message
    } finally {
      await pool.end()
    }
  }

  it('not where all is there', async () => {
    expect(await complaint()).to.equal(null)
  })

  it('where it is of another encoding', async () => {
    await database.drop()
    await query((await sharedServer()).url, (client) =>
      client.query(`create database ${name} template template0 encoding 'SQL_ASCII'`),
    )
    await admin(`grant create on database ${name} to ${ROLE}; grant create on schema public to ${ROLE}`)
    expect(await complaint()).to.match(
      /has the encoding SQL_ASCII: limpet needs a database with encoding UTF8/,
    )
  })

  it('where tables may not be created', async () => {
    await admin(`revoke create on schema public from ${ROLE}`)
    expect(await complaint()).to.equal(
      `${ROLE} may not create tables in the schema public of the database ${name}: grant create on schema public to ${ROLE}`,
    )
  })

  it('where the search_path leads nowhere', async () => {
    await admin(`alter database ${name} set search_path = nowhere`)
    expect(await complaint()).to.match(/^no schema of the search_path \(nowhere\) exists for fitness_limpet/)
  })

  it("where the queue's schema may not be created, which a queue elsewhere does not need", async () => {
    await admin(`revoke create on database ${name} from ${ROLE}`)
    expect(await complaint()).to.equal(
      `${ROLE} may not create the queue's schema limpet_queue: grant create on database ${name} to ${ROLE}`,
    )
    expect(await complaint({ ...NEEDS, queueSchema: null })).to.equal(null)
    expect(await complaint({ ...NEEDS, migrating: false })).to.equal(null)
    await admin('create schema limpet_queue')
    expect(await complaint({ ...NEEDS, migrating: false })).to.match(
      /^fitness_limpet may not use the queue's schema/,
    )
  })

  it("where limpet's tables are another's", async () => {
    await admin('create table limpet_migrations (version int)')
    expect(await complaint()).to.match(
      /^limpet's tables belong to limpet, and fitness_limpet can't alter them/,
    )
  })
})
