import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { expect } from 'chai'
import { lineOf } from '../../src/cli/cli-error.ts'
import { makeLog } from '../../src/observe/log.ts'
import { limpet } from './cli-stage.ts'

/** Clears the screen, sets a title, is a C1 control sequence, turns the direction, hides, and begins a line. */
const EVIL = 'a\u001b[2J\u001b]0;title\u0007b\u009b31mc\u202edcba\u2066e\u200bf\u2028g\rh\u007fi\u061cj'
// eslint-disable-next-line no-control-regex
const HARMFUL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/

describe('what a terminal is shown', () => {
  let server: Server
  let where: string[]
  let answer: { status: number; body: unknown }
  before(async () => {
    server = createServer((request, response) => {
      response.writeHead(answer.status, { 'content-type': 'application/json' })
      const { body } = answer
      const isAside = request.url === '/v1/status' && !Object.hasOwn(body as object, 'server_name')
      response.end(JSON.stringify(isAside && answer.status === 200 ? totals : body))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    where = ['--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`, '--token', 'x']
  })
  after(() => server.close())
  const run = (...args: string[]) => limpet([...args, ...where], { cwd: tmpdir() })

  const row = {
    ...{ destination: EVIL, state: EVIL, reason: EVIL, position: 1, head: 1, pending_pdus: 1 },
    ...{ pending_sticky: 0, pending_edus: 0, oldest_pending_ms: null, gap: null, failing_since: null },
    ...{ in_flight: null, open_transaction: null, last_attempt: null, next_attempt: null, quarantined: 0 },
    ...{ last_error: { kind: EVIL, status: 500, message: EVIL, at: 1 }, last_success: null },
    ...{ retry_interval_ms: null, rooms: [], sticky: [], transactions: [], total: 1, as_of: null },
  }
  const totals = {
    ...{ server_name: EVIL, version: EVIL, position: 1, destinations: { [EVIL]: 1 }, pending_pdus: 0 },
    ...{ oldest_pending_ms: null, sticky_pending: 0, sent_per_second: 0, as_of: null },
  }
  const bodies: [command: string[], body: unknown][] = [
    [['destinations'], { ...row, destinations: [row] }],
    [['destination', 'b.example'], row],
    [
      ['explain', '$e'],
      {
        ...{ event_id: EVIL, room_id: EVIL, position: 1, received: 1, sticky_until: null },
        destinations: [{ destination: EVIL, outcome: EVIL, as: EVIL, txn_id: EVIL, at: 1, why: EVIL }],
      },
    ],
    [
      ['explain', 'm'],
      {
        ...{ event_id: null, message_id: EVIL, room_id: null, position: 1, received: 1, sticky_until: null },
        destinations: [{ destination: EVIL, outcome: EVIL, as: null, txn_id: null, at: 1, why: EVIL }],
      },
    ],
    [
      ['sticky'],
      {
        sticky: [
          { event_id: EVIL, room_id: EVIL, sender: EVIL, expires_at: 1, delivered: 0, owed_to: [EVIL] },
        ],
        total: 1,
      },
    ],
    [
      ['quarantine', 'b.example'],
      {
        quarantine: [
          {
            ...{ id: EVIL, kind: EVIL, event_id: EVIL, room_id: EVIL, edu_type: null, since: 1, tries: 1 },
            ...{ next_try: 1, status: 403, message: EVIL },
          },
        ],
        total: 1,
      },
    ],
    [
      ['status'],
      {
        ...totals,
        sources: [
          {
            ...{ name: EVIL, state: EVIL, position: 1, behind: 1, since: 1 },
            last_error: { at: 1, message: EVIL },
          },
        ],
      },
    ],
  ]
  for (const [command, body] of bodies) {
    it(`by limpet ${command[0] ?? ''} is nothing that moves its cursor or turns its text`, async () => {
      answer = { status: 200, body }
      const { status, out, err } = await run(...command)
      expect([status, err]).to.deep.equal([0, ''])
      expect(out).not.to.match(HARMFUL)
      expect(out).to.include('a\ufffd[2J')
    })

    it(`by limpet ${command[0] ?? ''} --json neither, and it is the same answer`, async () => {
      answer = { status: 200, body }
      const { out } = await run(...command, '--json')
      expect(out).not.to.match(HARMFUL)
      expect(JSON.stringify(JSON.parse(out))).to.include(JSON.stringify(EVIL))
    })
  }

  it('of an error of the server is one line without any of it', async () => {
    answer = { status: 404, body: { errcode: EVIL, error: `${EVIL}\nsecond line` } }
    for (const command of [['status'], ['wake', 'b.example'], ['status', '--json']]) {
      const { status, err } = await run(...command)
      expect(status).to.equal(1)
      expect(err).to.match(/^limpet: a\ufffd\[2J.*second line.*\n$/)
      expect(err).not.to.match(HARMFUL)
    }
  })

  it('of a usage error is nothing of it either', async () => {
    const { status, err } = await limpet([`--${EVIL}`], { cwd: tmpdir() })
    expect(status).to.equal(2)
    expect(err).not.to.match(HARMFUL)
  })

  for (const pretty of [true, false]) {
    it(`of the log is nothing of it, ${pretty ? 'for people' : 'as JSON'}`, () => {
      let text = ''
      const log = makeLog({ level: 'info', pretty, stream: { write: (line) => (text += line) } })
      log.warn({ err: new Error(EVIL), destination: EVIL, path: 'C:\\u001b' }, EVIL)
      expect(text).not.to.match(HARMFUL)
      expect(text).to.include('u001b')
      if (pretty) expect(text).to.include('a\ufffd[2J')
      else expect((JSON.parse(text) as { destination: string }).destination).to.equal(EVIL)
    })
  }

  it('takes no longer for an error of 100,000 spaces or line feeds', () => {
    for (const text of [' ', '\n', ' \n', '\t']) {
      const error = new TypeError(`a${text.repeat(100_000)}b`)
      const before = process.cpuUsage()
      lineOf(error)
      const { user } = process.cpuUsage(before)
      // On one of two busy cores it is a few ms; backtracking took 10 s.
      expect(user / 1000).to.be.below(200)
    }
  })
})
