/**
 * Who may import whom (docs/architecture.md): imports go down or stay in their room, no files of a room import each other in a circle,
 * and each third-party package is used in its own room alone. And what a file is like: how long it is, and what it opens with.
 */
import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { circlesOf } from './support/circles.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Lowest first; rooms of one floor don't know each other. */
const FLOORS: readonly (readonly string[])[] = [
  ['src/pace/', 'src/matrix/', 'src/observe/'],
  ['src/allow/'],
  ['src/config/', 'src/wire/', 'src/simulate/'],
  ['src/discovery/', 'src/store/'],
  ['src/embedded/', 'src/ingest/', 'src/deliver/', 'queues/'],
  ['src/api/', 'src/explain/'],
  ['src/client/', 'src/http/'],
  ['src/daemon/'],
  ['src/cli/'],
  ['src/main.ts'],
]

const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'src/matrix/': ['tweetnacl'],
  'src/observe/': ['pino', 'pino-pretty', 'prom-client'],
  'src/config/': ['zod', 'yaml'],
  'src/wire/': ['undici', 'got'],
  'src/simulate/': ['selfsigned', 'dns-packet'],
  'src/discovery/': ['dns-packet', 'got'],
  'src/store/': ['pg'],
  'src/embedded/': ['pg'],
  'queues/': ['bullmq', 'ioredis', 'pg'],
  'src/api/': ['zod'],
  // Types only.
  'src/client/': ['zod'],
  'src/http/': ['fastify'],
  'src/cli/': ['commander', 'yaml'],
}

/** Lines of one file, at most. */
const LONGEST = 300

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

const ALL = [...sources('src'), ...sources('queues')]
const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

function importsOf(path: string): string[] {
  return [
    ...textOf(path).matchAll(/^(?:(?:import|export|\}).* from|import) '([^']+)'|\bimport\('([^']+)'\)/gm),
  ].map((match) => match[1] ?? match[2] ?? '')
}

/** Files of ours that it imports. */
const filesOf = (path: string): string[] =>
  importsOf(path)
    .filter((name) => name.startsWith('.'))
    .map((name) => relative(ROOT, join(ROOT, dirname(path), name)))

const DECLARED =
  /^(export )?(?:abstract |async )?(interface|type|class|enum|function|const|let) ([A-Za-z]\w*)/gm

/**
 * Names that two files declare, where one exports it and the other exports it too or has a type of that name. Two private
 * types may share a name (`Row`).
 */
function sharedNames(files: readonly (readonly [path: string, text: string])[]): string[] {
  const exporting = new Map<string, Set<string>>()
  const having = new Map<string, Set<string>>()
  for (const [path, text] of files) {
    for (const [, exported, kind, name = ''] of text.matchAll(DECLARED)) {
      const isType = kind === 'interface' || kind === 'type' || kind === 'class' || kind === 'enum'
      if (exported !== undefined) exporting.set(name, (exporting.get(name) ?? new Set()).add(path))
      if (exported !== undefined || isType) having.set(name, (having.get(name) ?? new Set()).add(path))
    }
  }
  const shared = [...having].filter(([name, paths]) => exporting.has(name) && paths.size > 1)
  return shared.map(([name, paths]) => `${name}: ${[...paths].join(' ')}`).sort()
}

describe('the floors of the house', () => {
  for (const path of ALL) {
    it(`${path} imports only from its own room or from below`, () => {
      const { floor, room } = place(path)
      for (const target of filesOf(path)) {
        const to = place(target)
        const allowed = to.room === room || to.floor < floor
        expect(allowed, `${path} (${room}) imports ${target} (${to.room})`).to.equal(true)
      }
      for (const name of importsOf(path)) {
        if (name.startsWith('node:') || name.startsWith('.')) continue
        const root = name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/')
        expect(PACKAGES[room] ?? [], `${path} uses the package ${root}`).to.include(root)
      }
    })
  }

  it('has no files that import each other in a circle', () => {
    expect(circlesOf(new Map(ALL.map((path) => [path, filesOf(path)])))).to.deep.equal([])
  })

  it(`has no file of more than ${LONGEST} lines`, () => {
    const long = ALL.filter((path) => textOf(path).split('\n').length - 1 > LONGEST)
    expect(long).to.deep.equal([])
  })

  it('has no file that does not say first what it promises', () => {
    const without = ALL.filter(
      (path) =>
        !textOf(path)
          .replace(/^#!.*\n/, '')
          .startsWith('/**'),
    )
    expect(without).to.deep.equal([])
  })

  it('has no two exports of one name, so that a name says which it is', () => {
    expect(sharedNames(ALL.map((path) => [path, textOf(path)]))).to.deep.equal([])
  })

  it('would notice a second export of one name, and a private type that has the name of an exported one', () => {
    const first = 'export interface Place {\n}\nexport const placeOf = 1\ntype Row = 1\n'
    expect(sharedNames([['a.ts', first]])).to.deep.equal([])
    expect(
      sharedNames([
        ['a.ts', first],
        ['b.ts', 'export type Place = 1\n'],
      ]),
    ).to.deep.equal(['Place: a.ts b.ts'])
    expect(
      sharedNames([
        ['a.ts', first],
        ['b.ts', 'export async function placeOf() {\n'],
      ]),
    ).to.deep.equal(['placeOf: a.ts b.ts'])
    expect(
      sharedNames([
        ['a.ts', first],
        ['b.ts', 'interface Place {\n}\n'],
      ]),
    ).to.deep.equal(['Place: a.ts b.ts'])
    expect(
      sharedNames([
        ['a.ts', first],
        ['b.ts', 'type Row = 2\n'],
      ]),
    ).to.deep.equal([])
  })

  it('is drawn in docs/architecture.md as it is', () => {
    const rows = [...textOf('docs/architecture.md').matchAll(/^\| (\d+) +\| (.+?) +\| (.*?) +\|$/gm)]
    const drawn = rows.map(([, floor, rooms, packages]) => ({
      floor: Number(floor),
      rooms: [...(rooms ?? '').matchAll(/`([^`]+)`/g)].map(([, room]) => room ?? ''),
      packages: (packages ?? '').split(/[,·]/).flatMap((name) => (name.trim() === '' ? [] : [name.trim()])),
    }))
    const built = FLOORS.map((rooms, index) => ({
      floor: index + 1,
      rooms: [...rooms].sort(),
      packages: rooms.flatMap((room) => PACKAGES[room] ?? []).sort(),
    }))
    const sorted = drawn.map((row) => ({ ...row, rooms: row.rooms.sort(), packages: row.packages.sort() }))
    expect(sorted.toReversed()).to.deep.equal(built)
  })

  it('would notice an import that goes up, and a circle', () => {
    expect(place('src/deliver/turn.ts').floor).to.be.below(place('src/daemon/daemon.ts').floor)
    expect(() => place('src/utils/helpers.ts')).to.throw('stands on no floor')
    const graph = { a: ['b', 'd'], b: ['c'], c: ['b'], d: [] }
    expect(circlesOf(new Map(Object.entries(graph)))).to.deep.equal([['b', 'c']])
  })
})
