/**
 * Statements to Synapse's database: planned for the numbers of each call, and never prepared under a name.
 *
 * Its tables can be very large, and a plan made for any range of a stream reads them from end to end; a pooler between us
 * and an operator's database may give every transaction another connection, which would not know the name.
 */
import { planFor } from '../../store/prepare.ts'
import type { StatementName } from '../../store/statement-names.ts'
import { sql, type Sql } from '../../store/statement.ts'

export const planned = (name: StatementName, text: string): Sql => planFor(Infinity, sql(name, text))
