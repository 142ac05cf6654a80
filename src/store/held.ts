/**
 * SQL: does a worker still hold a destination? Every write of a holder asks it.
 *
 * Always: a statement that has to wait for a lock asks after the wait, with `living()` in the database, which reads
 * anew (migration 0006; `writes`: its lease is not over, and was given by this same start of the server). The statement's own view of `workers` is from before the wait: there a living worker can look dead, and a dead
 * one alive. A lease ends with the server that gave it: after a failover nothing that its worker remembers is written.
 */
/**
 * A condition: `d`, which is looked for by something else, is this worker's. Put so that no index serves it: a worker holds thousands,
 * and from statistics of a quiet moment PostgreSQL would find one by reading the entries of them all.
 */
export const ownedBy = (worker: string): string => `d.lease_owner is not distinct from ${worker}`

/**
 * Begins a statement about one destination, $3: `held` has its id, and its row is locked, if worker $1 holds it under
 * fence $2. `condition` is on `d`. The lease is judged after the row is locked.
 */
export const holding = (condition = 'true'): string => `
  with locked as (
    select d.id, d.lease_owner from destinations d
     where d.id = $3 and ${ownedBy('$1::uuid')} and d.fence = $2 and ${condition} for update
  ), held as materialized (
    select l.id from locked l, living(array[l.lease_owner]) w where w.writes
  )`

/** The same for many: workers that may write, of those in `locked`, and the time. Read when all rows are locked. */
export const ALIVE = `
  alive as materialized (
    select w.worker, w.now from living((select array_agg(distinct worker) from locked)) w where w.writes
  )`

/** A condition on `w` (workers), for a statement that waits for no lock: it may write under its lease. */
export const MAY_WRITE = 'w.lease_until > now_ms() and w.server_started = pg_postmaster_start_time()'
/**
 * A condition on the owner of `d`, for a statement that waits for no lock: its time is not over, whatever it may still write. Who lives is read once a
 * statement, not once a row: of many rows that was half of what these cost.
 */
export const OWNER_LIVES = `(d.lease_owner is not null
     and d.lease_owner = any(array(select w.id from workers w where w.lease_until > (select now_ms()))))`

/** A condition on `d` and what a holder read of it, `i`: nothing was taken away from it since. Not for a repeat of the same bytes. */
export const UNNARROWED = 'd.narrowed_seq = i.narrowed_seq and not d.paused'

/** What every way of letting go sets: a destination without a holder is not followed. */
export const UNHELD = 'lease_owner = null, follows = false'

/**
 * Ends a select of several `d` (destinations) before they are changed: a statement that locks more than one does it in
 * the order of their ids, so that two never wait for each other.
 */
export const IN_ORDER = 'order by d.id for update of d'

/** Begins a statement about many, after `input`: their rows are locked, also those that another worker holds. */
export const LOCKED = `
  locked as (
    select d.id, i.worker from destinations d join input i on i.destination = d.id ${IN_ORDER}
  )`

/** A condition on `d`, what a holder says of it, `i`, and the locked row `l`: it is held as said. Whether that worker lives, `ALIVE` says. */
export const HELD_AS_SAID = `d.id = l.id and d.id = i.destination and ${ownedBy('i.worker')} and d.fence = i.fence`
