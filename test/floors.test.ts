/**
 * Who may import whom (docs/architecture.md): imports go down or stay in their room, and each third-party
 * package is used on its own floor alone.
 */
import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Lowest first. A path is a folder, or the beginning of a file's name. */
const FLOORS: readonly (readonly string[])[] = [
  [
    'src/matrix/',
    'src/config',
    'src/observe/',
    'src/clock.ts',
    'src/batcher.ts',
    'src/byte-gate.ts',
    'src/gate.ts',
    'src/either-signal.ts',
    'src/descriptors.ts',
    'src/pooled-random.ts',
    'src/version.ts',
  ],
  ['src/store/', 'src/wire/', 'src/simulate/'],
  ['src/ingest/', 'src/deliver/'],
  ['queues/', 'src/http/'],
  ['src/embedded-watch.ts'],
  ['src/open-stores.ts', 'src/readiness.ts', 'src/start-'],
  ['src/daemon.ts'],
  ['src/cli/'],
  ['src/main.ts'],
]
/** Rooms of the lowest two floors that stand below their neighbours. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  'src/config': ['src/matrix/', 'src/observe/', 'src/clock.ts'],
  'src/observe/': ['src/matrix/'],
  'src/matrix/': ['src/clock.ts'],
}

const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'src/matrix/': ['tweetnacl'],
  'src/config': ['zod', 'yaml'],
  'src/observe/': ['pino', 'pino-pretty', 'prom-client'],
  'src/store/': ['pg'],
  'src/wire/': ['undici', 'got'],
  'src/simulate/': ['selfsigned'],
  'queues/': ['bullmq', 'ioredis', 'pg'],
  'src/http/': ['fastify'],
  'src/cli/': ['commander', 'yaml'],
}

function place(path: string): { floor: number; room: string } {
  for (const [floor, rooms] of FLOORS.entries()) {
    for (const room of rooms) if (path.startsWith(room)) return { floor, room }
  }
  throw new Error(`${path} stands on no floor: give it one in test/floors.test.ts`)
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}

function importsOf(path: string): string[] {
  const text = readFileSync(join(ROOT, path), 'utf8')
  return [...text.matchAll(/^(?:(?:import|export|\}).* from|import) '([^']+)'|\bimport\('([^']+)'\)/gm)].map(
    (match) => match[1] ?? match[2] ?? '',
  )
}

describe('the floors of the house', () => {
  for (const path of [...sources('src'), ...sources('queues')]) {
    it(`${path} imports only from its own room or from below`, () => {
      const { floor, room } = place(path)
      for (const name of importsOf(path)) {
        if (name.startsWith('node:')) continue
        if (!name.startsWith('.')) {
          const root = name
            .split('/')
            .slice(0, name.startsWith('@') ? 2 : 1)
            .join('/')
          expect(PACKAGES[room] ?? [], `${path} uses the package ${root}`).to.include(root)
          continue
        }
        const target = relative(ROOT, join(ROOT, dirname(path), name))
        const to = place(target)
        const allowed = to.room === room || to.floor < floor || (BELOW[room] ?? []).includes(to.room)
        expect(allowed, `${path} (${room}) imports ${target} (${to.room})`).to.equal(true)
      }
    })
  }

  it('would notice an import that goes up', () => {
    expect(place('src/deliver/turn.ts').floor).to.be.below(place('queues/workers.ts').floor)
    expect(() => place('src/utils/helpers.ts')).to.throw('stands on no floor')
  })
})
