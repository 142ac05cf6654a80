/**
 * Statements to Synapse's database. They are planned for the values of each call, and never prepared under a name.
 *
 * Synapse's tables can be very large, and a plan made for any range of a stream would read them from end to end. And a
 * pooler in front of the database may give every transaction another connection, which does not know the name.
 */
import { planFor } from '../../store/prepare.ts'
import type { StatementName } from '../../store/statement-names.ts'
import { sql, type Sql } from '../../store/statement.ts'

export const planned = (name: StatementName, text: string): Sql => planFor(Infinity, sql(name, text))
