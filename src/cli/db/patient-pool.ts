/** A connection for one long piece of work: no statement on it is given up, however long it takes. */
import { openPool, type Pool } from '../../store/db.ts'

export async function patientPool<T>(url: string, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = openPool({ url, max: 1, name: 'limpet-copy', queryMs: 0 })
  try {
    return await work(pool)
  } finally {
    await pool.end()
  }
}
