/** An ingest API for tests: real routes, and an `append` that is real or that writes down what it is given. */
import { randomBytes } from 'node:crypto'
import type { FastifyInstance, InjectOptions } from 'fastify'
import type { Tokens } from '../../../src/config/config.ts'
import { makeApp } from '../../../src/http/app.ts'
import type { AppOptions } from '../../../src/http/app.ts'
import type { Append, AppendResult, IngestRequest } from '../../../src/ingest/append.ts'
import { makePdu } from '../../../src/matrix/make-pdu.ts'
import type { PduParts } from '../../../src/matrix/make-pdu.ts'
import { generateKey } from '../../../src/matrix/signing.ts'
import { makeLog } from '../../../src/observe/log.ts'
import { makeMetrics } from '../../../src/observe/metrics.ts'
import type { Db } from '../../../src/store/db.ts'

export const SERVER = 'a.example'
export const ROOM = '!room:a.example'
export const TOKENS: Tokens = {
  ingest: [{ name: 'synapse', token: 'tok-ingest' }],
  read: [{ name: 'grafana', token: 'tok-read' }],
  admin: [
    { name: 'ann', token: 'tok-ann' },
    { name: 'bob', token: 'tok-bob' },
  ],
}

const { key } = generateKey((size) => randomBytes(size))
let sent = 0

/** An item with an event of ours that is valid in every way. */
export function eventItem(
  parts: Partial<PduParts> = {},
  { version = '11', ...fields }: { version?: string; [field: string]: unknown } = {},
) {
  sent += 1
  const made = makePdu(
    {
      roomId: ROOM,
      type: 'm.room.message',
      sender: `@u:${SERVER}`,
      originServerTs: 1_700_000_000_000 + sent,
      content: { body: `message ${sent}` },
      ...parts,
    },
    key,
    version,
  )
  return {
    type: 'event',
    room_id: ROOM,
    room_version: version,
    event_id: made.eventId as string,
    pdu: JSON.parse(made.text) as Record<string, unknown>,
    ...fields,
  }
}

export interface FakeAppend {
  append: Append
  requests: IngestRequest[]
  /** What the next ones are answered; null: all taken. */
  answer: AppendResult | null
}

export function fakeAppend(): FakeAppend {
  const fake: FakeAppend = {
    requests: [],
    answer: null,
    append: (request) => {
      fake.requests.push(request)
      const accepted = request.items.length
      return Promise.resolve(
        fake.answer ?? {
          kind: 'taken',
          position: accepted,
          accepted,
          duplicates: 0,
          ignored: [],
          unknownRooms: [],
        },
      )
    },
  }
  return fake
}

const noDatabase: Db = { query: () => Promise.reject(new Error('this test has no database')) } as never

export function makeTestApp({
  append = fakeAppend().append,
  db = noDatabase,
  ...more
}: { append?: Append; db?: Db } & Partial<AppOptions> = {}): FastifyInstance {
  return makeApp(
    {
      tokens: () => TOKENS,
      metricsToken: () => null,
      metrics: makeMetrics({ runtime: false }),
      log: makeLog({ level: 'silent', pretty: false }),
      readiness: () => Promise.resolve({ ready: true }),
      phase: () => 'running',
      ingest: { serverName: SERVER, stickyFieldNames: ['msc4354_sticky', 'sticky'], append, db },
      admin: null,
      ...more,
    },
    ['ingest', 'admin', 'metrics'],
  )
}

export async function ask(app: FastifyInstance, options: InjectOptions & { token?: string | null }) {
  const { token = 'tok-ingest', headers, ...rest } = options
  const answer = await app.inject({
    ...rest,
    headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
  })
  return { status: answer.statusCode, headers: answer.headers, body: answer.json<Record<string, unknown>>() }
}

/** POST /v1/ingest with a JSON body: an object, or text as it stands. */
export function post(
  app: FastifyInstance,
  body: unknown,
  more: { url?: string; token?: string | null } = {},
) {
  return ask(app, {
    method: 'POST',
    url: more.url ?? '/v1/ingest',
    headers: { 'content-type': 'application/json' },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
    token: more.token === undefined ? 'tok-ingest' : more.token,
  })
}

/** POST /v1/ingest with NDJSON. */
export function postLines(app: FastifyInstance, lines: readonly unknown[], query = '') {
  return ask(app, {
    method: 'POST',
    url: `/v1/ingest${query}`,
    headers: { 'content-type': 'application/x-ndjson' },
    payload: lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
  })
}
