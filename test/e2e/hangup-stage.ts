/** What a test of SIGHUP has: real processes with one file that it changes, and remote servers that say with which key they were asked. */
import { expect } from 'chai'
import { readFileSync, writeFileSync } from 'node:fs'
import { systemClock } from '../../src/pace/clock.ts'
import type { KeyPair } from '../../src/simulate/fleet/certs.ts'
import { startFakeHomeserver, type FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { startLimpet, type Process } from '../cli/cli-stage.ts'
import { until } from '../support/poll.ts'
import { loopbackAuthority, makeWorld, OURS, PATIENT, TOKENS, type World } from './world.ts'

const ROOM = '!room:home.example'
export const HOUR = 3_600_000
/** A failure is followed by nothing but what a test asks for. */
export const NO_RETRIES = { first_ms: HOUR, max_ms: HOUR, jitter: 0 }

/** Of the log. */
export interface Line {
  level: number
  msg: string
  applied?: string[]
  needs_restart?: string[]
  reason?: string
}
export type Tree = Record<string, unknown>
export type Running = Awaited<ReturnType<Stage['start']>>
export type Stage = Awaited<ReturnType<typeof makeStage>>

/** `federation`: over the world's own; the other settings too. */
export async function makeStage({ federation = {}, ...settings }: Tree & { federation?: Tree } = {}) {
  const world: World = await makeWorld({
    settings: { ...PATIENT, ...settings, federation: { backoff: NO_RETRIES, ...federation } },
  })
  const remotes: FakeHomeserver[] = []
  const processes: Process[] = []
  const keys = new Map<string, string>([[world.key.keyId, world.key.publicKey]])
  const usedKeys: string[] = []

  async function start(args: string[] = [], env: Record<string, string> = {}) {
    const limpet = startLimpet(['run', '--config', world.file, ...args], { cwd: world.dir, env })
    processes.push(limpet)
    const [, address = ''] = await until(() => /"addresses":\["(http:[^"]+)"/.exec(limpet.out), {
      what: `limpet to run: ${limpet.err}`,
    })
    const lines = (): Line[] =>
      limpet.out
        .split('\n')
        .filter((text) => text.startsWith('{') && text.endsWith('}'))
        .map((text) => JSON.parse(text) as Line)
    const told = () => lines().filter(({ msg }) => msg.startsWith('SIGHUP'))
    async function ask(path: string, token: string, method = 'GET', body?: string) {
      const headers = {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      }
      const answer = await fetch(`${address}${path}`, {
        ...{ method, headers },
        ...(body === undefined ? {} : { body }),
      })
      const text = await answer.text()
      return { status: answer.status, body: text.startsWith('{') ? (JSON.parse(text) as Tree) : {} }
    }
    async function ingest(...items: unknown[]): Promise<void> {
      const { status } = await ask('/v1/ingest', TOKENS.ingest, 'POST', JSON.stringify({ items }))
      expect(status, 'ingest').to.equal(200)
    }
    return {
      ...{ address, lines, ask, ingest, child: limpet.child },
      /** Sends it; the one line that says what was done. */
      async hangup(): Promise<Line> {
        const before = told().length
        limpet.child.kill('SIGHUP')
        await until(() => told().length > before, { what: 'the line' })
        const [line, ...more] = told().slice(before)
        if (line === undefined) throw new Error('there is one')
        expect(more, 'one line').to.deep.equal([])
        return line
      },
      /** An event for these servers, which are in the room from now on. */
      async tell(...to: FakeHomeserver[]): Promise<string> {
        const { eventId, item } = world.event(ROOM)
        await ingest({ type: 'servers', room_id: ROOM, set: to.map(({ serverName }) => serverName) }, item)
        return eventId
      },
      async act(action: string, { serverName }: FakeHomeserver): Promise<void> {
        const { status } = await ask(`/v1/destinations/${serverName}/${action}`, TOKENS.admin, 'POST')
        expect(status, action).to.equal(200)
      },
      async stateOf({ serverName }: FakeHomeserver): Promise<unknown> {
        const { body } = await ask(`/v1/destinations/${serverName}`, TOKENS.read)
        return body['state']
      },
    }
  }

  async function row<T>({ serverName }: FakeHomeserver, what: string): Promise<T | undefined> {
    const { rows } = await world.pool.query<{ it: T }>(
      `select ${what} as it from destinations where name = $1`,
      [serverName],
    )
    return rows[0]?.it
  }

  return {
    ...{ world, keys, usedKeys, start, row },
    remote: async (tls?: KeyPair, host = '127.0.0.1'): Promise<FakeHomeserver> => {
      const made = await startFakeHomeserver({
        tls: tls ?? (await loopbackAuthority()).tls,
        ...{ origin: OURS, host },
        verifyKey: (id) => {
          usedKeys.push(id)
          return keys.get(id) ?? null
        },
        clock: systemClock,
      })
      remotes.push(made)
      return made
    },
    /** Writes these over what the file says; undefined takes a key away. */
    write: ({ federation: over = {}, ...settings }: Tree & { federation?: Tree }): void => {
      const before = JSON.parse(readFileSync(world.file, 'utf8')) as Tree & { federation: Tree }
      const federation = { ...before.federation, ...over }
      writeFileSync(world.file, JSON.stringify({ ...before, ...settings, federation }))
    },
    has: (one: FakeHomeserver, event: string) =>
      until(() => one.received.has(event), { what: `the event ${event}` }),
    /** It has failed with that, and nobody has it. */
    failed: async (one: FakeHomeserver, like: RegExp): Promise<void> => {
      const said = async () => {
        const failed = await row<boolean>(one, 'failures > 0 and lease_owner is null')
        return failed === true ? await row<string>(one, `last_error->>'message'`) : ''
      }
      await until(async () => like.test((await said()) ?? ''), { what: `it to fail: ${String(like)}` })
    },
    async end(): Promise<void> {
      for (const { child } of processes) child.kill('SIGKILL')
      await Promise.all(processes.map(({ ended }) => ended))
      await Promise.all(remotes.map((one) => one.stop()))
      await world.stop()
    },
  }
}
