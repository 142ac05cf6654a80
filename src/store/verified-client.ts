/**
 * A client of `pg` that checks certificates unless its URL says that it must not (`sslmode=no-verify`, or `require`
 * with `uselibpqcompat`). Without it, `pg` leaves that to a variable of Node's.
 */
import pg from 'pg'

interface Inside {
  connection: { ssl: boolean | { rejectUnauthorized?: boolean } }
}

export class VerifiedClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config)
    const { connection } = this as unknown as Inside
    if (connection.ssl === true) connection.ssl = { rejectUnauthorized: true }
    else if (connection.ssl !== false) connection.ssl.rejectUnauthorized ??= true
  }
}
