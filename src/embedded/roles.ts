/**
 * Who may do what in the embedded database. Put right before each start, while nobody can connect.
 *
 *     limpet        the role that limpet connects as: it owns the database `limpet` and can do nothing else; new password at each start.
 *     limpet_admin  the superuser that every PostgreSQL has. It has no password and no line in pg_hba.conf: nobody can log in as it.
 *
 * The work is done in PostgreSQL's single-user mode, in one transaction: a start that is cut short has changed all or
 * nothing. Up to limpet 0.1 `limpet` was the superuser: that role is renamed, and what it owned goes to the new
 * `limpet`.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import type { Cluster } from './cluster.ts'
import { binary, EmbeddedError } from './program.ts'
import type { RunAs } from './user.ts'

const READY = 'limpet: the roles are as they should be'

// 10 is the superuser's number in every PostgreSQL; `reassign owned` refuses to take anything from it. Below 16384 is
// what initdb makes. A sequence of a column goes with its table, what an extension made stays with it.
const ROLES = (verifier: string) => `
do $limpet$
declare
  one record;
begin
  if exists (select from pg_roles where oid = 10 and rolname = 'limpet') then
    create role limpet_renaming superuser;
    set session authorization limpet_renaming;
    alter role limpet rename to limpet_admin;
    set session authorization limpet_admin;
    drop role limpet_renaming;
    create role limpet;
    update pg_db_role_setting set setrole = 'limpet'::regrole where setrole = 10;
  end if;
  execute format('alter role %I password null', (select rolname from pg_roles where oid = 10));
  if to_regrole('limpet') is null then
    create role limpet;
  end if;
  alter role limpet login nosuperuser nocreatedb nocreaterole noreplication nobypassrls
    connection limit -1 valid until 'infinity' password '${verifier}';
  -- How old the oldest snapshot is, anybody's.
  grant pg_read_all_stats to limpet;
  -- A limpet of 0.1 asks where the data lies before it goes on: with this there is a way back until a migration has run.
  grant pg_read_all_settings to limpet;
  alter database limpet owner to limpet;
  for one in
    select format('schema %I', nspname) as what from pg_namespace where nspowner = 10 and oid >= 16384
    union all
    select format('%s %s', case when c.relkind = 'c' then 'type' else 'table' end, c.oid::regclass)
      from pg_class c
     where c.relowner = 10 and c.oid >= 16384 and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c', 'S')
       and c.relnamespace not in ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                          and (d.deptype = 'e' or c.relkind = 'S' and d.deptype in ('a', 'i')))
    union all
    select format('routine %s', p.oid::regprocedure) from pg_proc p
     where p.proowner = 10 and p.oid >= 16384
       and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    union all
    select format('type %s', t.oid::regtype) from pg_type t
     where t.typowner = 10 and t.oid >= 16384 and t.typtype in ('e', 'd', 'r')
       and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
    union all
    select format('statistics %s.%I', s.stxnamespace::regnamespace, s.stxname) from pg_statistic_ext s where s.stxowner = 10
  loop
    execute format('alter %s owner to limpet', one.what);
  end loop;
  raise warning '${READY}';
end
$limpet$;
`

/**
 * Gives `limpet` the password `password`, and makes the database and the roles what they should be.
 * @throws EmbeddedError `EMBEDDED_FAILED`, or what `still in use` says to the caller
 */
export async function settleRoles(
  cluster: Cluster,
  { runAs, password, durable }: { runAs: RunAs; password: string; durable: boolean },
): Promise<{ done: true } | { done: false; said: string }> {
  const ask = (database: string, sql: string) => singleUser(cluster, { runAs, database, sql, durable })
  let said = await ask('limpet', ROLES(verifierOf(password)))
  if (/FATAL: +database "limpet" does not exist/.test(said)) {
    // The directory is new, or its first start was cut short.
    await ask('postgres', 'create database limpet;\n')
    said = await ask('limpet', ROLES(verifierOf(password)))
  }
  return said.includes(READY) ? { done: true } : { done: false, said }
}

/** Runs one statement, and gives everything that PostgreSQL said. The end of our own process ends it too: its input ends. */
async function singleUser(
  { data, room }: Cluster,
  { runAs, database, sql, durable }: { runAs: RunAs; database: string; sql: string; durable: boolean },
): Promise<string> {
  const settings = [
    'log_destination=stderr',
    'logging_collector=off',
    'log_min_messages=warning',
    'lc_messages=C',
  ]
  // An operator may have left any of these another way.
  const ours = ['default_transaction_read_only=off', 'search_path=pg_catalog', 'log_statement=none']
  const args = ['--single', '-j', '-D', data, ...[...settings, ...ours].flatMap((one) => ['-c', one])]
  const child = runAs.launch(
    binary(runAs.program, 'postgres'),
    [...args, ...(durable ? [] : ['-F']), database],
    {
      cwd: room,
      stdio: ['pipe', 'pipe', 'pipe'],
      // A Ctrl-C is meant for us.
      detached: true,
    },
  )
  let said = ''
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  // It may end before it has read all.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(`${sql}\n\n`)
  await new Promise<void>((resolve, reject) => {
    child.on('error', (cause) =>
      reject(
        new EmbeddedError('EMBEDDED_FAILED', `the embedded PostgreSQL can't be run: ${cause.message}`, {
          cause,
        }),
      ),
    )
    child.on('close', () => resolve())
  })
  return said
}

/** A password nobody has had before. */
export const newPassword = (): string => randomBytes(24).toString('hex')

/** What PostgreSQL keeps of a password (RFC 5803): so the password itself goes nowhere, into no log either. */
export function verifierOf(password: string): string {
  const salt = randomBytes(16)
  const iterations = 4096
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const keyFor = (name: string) => createHmac('sha256', salted).update(name).digest()
  const stored = createHash('sha256').update(keyFor('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${keyFor('Server Key').toString('base64')}`
}
