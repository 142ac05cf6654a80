/** The exit statuses of the command line: when, and what to do. `exits.test.ts` holds each against `exitStatusOf`. */
import { CommandError, UsageError } from '../../src/cli/cli-error.ts'
import { ConfigError } from '../../src/config/error.ts'
import { EmbeddedError } from '../../src/embedded/program.ts'
import { SynapseRefused } from '../../src/ingest/synapse/refused.ts'
import { KeyFileError } from '../../src/matrix/key-file-error.ts'
import { UnfitDatabaseError } from '../../src/store/fitness.ts'
import { SchemaError } from '../../src/store/schema-error.ts'
import { QueueError } from '../../queues/queue-error.ts'

interface Exit {
  status: 1 | 2
  errors: readonly Error[]
  when: string
  todo: string
}

const embedded = (code: EmbeddedError['code']) => new EmbeddedError(code, '')
const queue = (code: QueueError['code']) => new QueueError(code, '')

export const EXITS: readonly Exit[] = [
  {
    status: 1,
    errors: [new CommandError('')],
    when: 'What was asked could not be done: no daemon answers, it refused, a name is not known, or a glob was not confirmed with `--yes`.',
    todo: 'The line on standard error says what is wrong and what to do.',
  },
  {
    status: 1,
    errors: [new UnfitDatabaseError('', { passing: true })],
    when: 'The database takes no writes now: it is a standby, or read-only.',
    todo: 'Start limpet again: a standby may be the primary in a minute. A service manager does so.',
  },
  {
    status: 1,
    errors: [embedded('EMBEDDED_UNSUPPORTED'), embedded('EMBEDDED_USER'), embedded('EMBEDDED_FAILED')],
    when: 'The embedded PostgreSQL did not start: there is none for this machine, no user can run it, or it failed.',
    todo: 'docs/embedded.md; or set `database` to a PostgreSQL of your own.',
  },
  {
    status: 1,
    errors: [queue('unreachable')],
    when: 'Redis, or the database of the queue, cannot be reached.',
    todo: 'Look whether it runs and whether `queue` is right, then start limpet again.',
  },
  {
    status: 1,
    errors: [new Error('')],
    when: 'Anything that nobody expected, such as a database that cannot be reached at the start.',
    todo: 'Start limpet again. If it says where in the program it happened, report it.',
  },
  {
    status: 2,
    errors: [new UsageError('')],
    when: 'The command line asks for something that there is not.',
    todo: '`limpet COMMAND --help`.',
  },
  {
    status: 2,
    errors: [new ConfigError('x', '')],
    when: 'A setting is unknown, impossible, or names a file that cannot be read or is open to others.',
    todo: 'The line names the key. `limpet check-config` looks at everything.',
  },
  {
    status: 2,
    errors: [new KeyFileError('')],
    when: 'The file of the signing key is not one.',
    todo: "Copy the homeserver's signing key to `signing_key_path`.",
  },
  {
    status: 2,
    errors: [new SchemaError('')],
    when: "The database's schema is of another release.",
    todo: '`limpet migrate` with the newer release; or start the release that the schema belongs to.',
  },
  {
    status: 2,
    errors: [new UnfitDatabaseError('')],
    when: 'The database is too old, has another encoding than UTF8, or lacks a right that limpet needs.',
    todo: 'The line says which statement mends it.',
  },
  {
    status: 2,
    errors: [embedded('EMBEDDED_VERSION')],
    when: 'The embedded database is of another major version of PostgreSQL.',
    todo: 'docs/embedded.md says the way out.',
  },
  {
    status: 2,
    errors: [queue('settings'), queue('schema')],
    when: 'Redis may throw jobs away (`maxmemory-policy`), or the schema of the queue is of another release.',
    todo: '`maxmemory-policy noeviction`; or `limpet migrate`.',
  },
  {
    status: 2,
    errors: [new SynapseRefused('')],
    when: 'The Synapse is one that limpet must not read from: an unknown schema, several event writers, another `server_name`, or missing rights.',
    todo: 'docs/synapse.md.',
  },
]
