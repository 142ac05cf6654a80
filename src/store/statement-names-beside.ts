/**
 * The names of the statements that move no item (`statement-names.ts` has the others): what is shown, how a database
 * is opened, what is stored about sources, and what is read from Synapse.
 */

/** What people, gauges and producers are shown. */
const VIEWS = [
  'list the rooms',
  'count the rooms',
  'read a room',
  'read the place of a source',
  'count what one is owed',
  'count the durable EDUs that it is owed',
  'what is its oldest',
  'which sticky events is it owed',
  'when is a sticky event repeated',
  'count the rooms of a gap',
  'count the states',
  'count the states beside those that are blocked',
  'list the destinations',
  'read the states to list some',
  'read a destination by name',
  'read destinations by id',
  'who carried an event',
  'which gaps hold something newer',
  'find an event',
  'find a kept event',
  'is the event id known',
  'find a message to devices',
  'read the lanes of messages',
  'read the messages that are apart',
  'read the messages that were given up',
  'read the skips over messages',
  'was the event erased',
  'read the memberships of rooms',
  'read the replays of events',
  'read the sticky lanes of rooms',
  'read the gaps over events',
  'read the transactions with events',
  'read the skips over events',
  'who holds an old snapshot',
  'list the rooms with something owed',
  'count the sticky events',
  'list the sticky events',
  'read the last two counts',
  'read the totals',
  'when was it counted',
  'list the attempts',
  'who cannot be reached',
  'read the backlog of each',
  'list the acts',
  'who is in trouble of its own',
  'list what is set aside',
  'count what is set aside',
  'who has something apart',
  'read what is apart of events',
  'read the waits of rooms',
  'read what was given up of events',
] as const

/** What server discovery found, for all processes. */
const DISCOVERY = [
  'claim a lookup',
  'store an answer',
  'end the claim of a lookup',
  'forget old answers',
] as const

/** What operators did. */
const ACTS = [
  'forget old acts',
  'forget old skips',
  'note an act by glob',
  'read whom a glob may mean',
  'forget what was given up',
] as const

/** Whether a database can be used, and what is done when it is opened. */
const START = [
  'does it answer',
  'set up the session',
  'does it take writes',
  'prove a write',
  'is the database fit',
  'which server is this',
  'who serves the session',
  'is a notification heard',
  'which process serves the session',
  'lock the migrations',
  'make the ledger of migrations',
  'note a migration',
  'is there a schema',
  'read the ledger of migrations',
  'bind to a server name',
  'read the server name',
  'set the password',
] as const

/** What limpet keeps of the sources that it follows. */
const SOURCES = [
  'take a source',
  'let go of a source',
  'say how a source does',
  'how do the sources do',
  'read what a source remembers',
  'change what a source remembers',
  'let a source go on',
  'read the tokens of a source',
  'drop sources that are done',
  'list the rooms that were told',
  'which rooms were told',
  'which events are held',
  'which events of a sender are held',
] as const

/** Copies of the database. */
const COPIES = [
  'list the tables to copy',
  'list the parts to copy',
  'list the counters to copy',
  'read a counter',
  'which version is it',
  'lock the tables to copy',
  'copy a table out',
  'copy a table in',
  'what is in the schema',
  'analyze a table',
  'drop a part',
  'make a part',
  'empty the tables',
  'switch the triggers of a table',
  'count a copied table',
  'set a counter',
  'who uses the database',
  'what was written last',
] as const

/** Synapse's own database. */
const SYNAPSE = [
  'which encoding has Synapse',
  'can the columns be read',
  'which server name has Synapse',
  'are the state groups here',
  'where does the stream end',
  'where does the stream end beside ex outliers',
  'may ex outliers be read',
  'find events before a place',
  'where does the window end',
  'what does the window reach to',
  'who came and left',
  'read the window',
  'read the redactions',
  'which of them does the ban redact',
  'what did the banned send',
  'read stored events',
  'read the states at events',
  'who is joined by the state group',
  'what differs between state groups',
  'who was joined at the place',
  'who is in partial rooms',
  'which rooms has Synapse',
  'digest of the rooms',
  'which rooms are gone',
  'which rooms are young',
] as const

/** All of them. */
export const BESIDE = [...VIEWS, ...DISCOVERY, ...ACTS, ...START, ...SOURCES, ...COPIES, ...SYNAPSE] as const

export type NameBeside = (typeof BESIDE)[number]
