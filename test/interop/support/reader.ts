/** The database user by which limpet reads a Synapse: the one that `docs/synapse.md` tells an operator to make. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openPool } from '../../../src/store/db.ts'

const page = join(import.meta.dirname, '..', '..', '..', 'docs', 'synapse.md')

/** Makes the user with exactly the rights that the page grants, in this database; gives the URL for it. */
export async function readerUrl(databaseUrl: string): Promise<string> {
  const text = await readFile(page, 'utf8')
  const statements = (/```sql\n([\s\S]*?)```/.exec(text)?.[1] ?? '')
    .replace("'choose one'", "'interop'")
    .split(';')
  const pool = openPool({ url: databaseUrl, max: 1 })
  try {
    for (const statement of statements.filter((one) => one.trim() !== '')) {
      await pool.query(statement).catch((error: unknown) => {
        // Users are the server's, and the homeservers of a run share one: the first limpet made this one.
        if ((error as { code?: unknown }).code !== '42710') throw error
      })
    }
  } finally {
    await pool.end()
  }
  const url = new URL(databaseUrl)
  url.username = 'limpet_reader'
  url.password = 'interop'
  return url.href
}
