/** What limpet is made of at run time, and that docs/packages.md says so. */
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { countInstalled, readLockFile } from './support/lock-file.ts'

const at = (path: string) => new URL(`../${path}`, import.meta.url)
const { dependencies, optionalDependencies, devDependencies } = JSON.parse(
  readFileSync(at('package.json'), 'utf8'),
) as Record<'dependencies' | 'optionalDependencies' | 'devDependencies', Record<string, string>>
const runtime = Object.keys({ ...dependencies, ...optionalDependencies })

/** The page's sections: their headings' names, and their text. */
const sections = readFileSync(at('docs/packages.md'), 'utf8')
  .split(/^### /m)
  .slice(1)
  .map((section) => {
    const [heading = '', ...lines] = section.split('\n')
    return { names: quoted(heading), text: lines.join('\n') }
  })

function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
}

/** All that the program imports or requires under a name that stands there as text, from `src/main.ts` on; types aside. */
function imported(): { packages: Map<string, string>; files: Set<string> } {
  const main = fileURLToPath(at('src/main.ts'))
  const root = dirname(dirname(main))
  const packages = new Map<string, string>()
  const files = new Set([main])
  for (const file of files) {
    const text = readFileSync(file, 'utf8')
    const fixed = text.matchAll(/^(?:(?:import|export) (?!type )[^'"]*? from|import) ['"]([^'"]+)['"]/gm)
    const later = text.matchAll(
      /(?:\bimport|\brequire|createRequire\(import\.meta\.url\))\(['"]([^'"]+)['"]\)/g,
    )
    for (const [, name = ''] of [...fixed, ...later]) {
      if (name.startsWith('node:')) continue
      if (name.startsWith('.')) files.add(join(dirname(file), name))
      else {
        const parts = name.split('/').slice(0, name.startsWith('@') ? 2 : 1)
        packages.set(parts.join('/'), relative(root, file))
      }
    }
  }
  return { packages, files }
}

describe('run-time packages', () => {
  it('have a section each in docs/packages.md, and nothing else has one', () => {
    expect(sections.flatMap(({ names }) => names).sort()).to.deep.equal([...runtime].sort())
  })

  it('bring along what their sections say, under the licences that they say', () => {
    const alongWith = readLockFile(at('package-lock.json'))
    for (const { names, text } of sections) {
      const [name = ''] = names
      const { names: along, licences } = alongWith(name)
      const list = along.map((other) => `\`${other}\``).join(', ')
      const brings = along.length === 0 ? 'Brings nothing along.' : `Brings along ${along.length}: ${list}.`
      expect(text.split('\n'), name).to.include.members([brings, `Licences: ${licences.join(', ')}.`])
    }
  })

  it('are as many as the pages say', () => {
    const { all, needed } = countInstalled(at('package-lock.json'))
    const counts = (page: string) =>
      [...readFileSync(at(page), 'utf8').matchAll(/(\d+)\s+run-time\s+packages/g)].map(([, count]) =>
        Number(count),
      )
    expect(counts('docs/packages.md')).to.deep.equal([all, needed])
    for (const page of ['README.md', 'ops/README.md', 'ops/systemd/README.md'])
      for (const count of counts(page)) expect([all, needed], page).to.include(count)
  })

  it('are all that the program imports: none of those for development', () => {
    const { packages, files } = imported()
    // The walk has found what it should look through.
    expect(files.size).to.be.above(150)
    for (const [name, file] of packages) {
      expect(Object.keys(devDependencies), `${file} imports ${name}`).not.to.include(name)
      expect(Object.keys(dependencies), `${file} imports ${name}`).to.include(name)
    }
  })

  it('are all imported, those aside whose sections say that they are not yet', () => {
    const { packages } = imported()
    const unused = Object.keys(dependencies).filter((name) => !packages.has(name))
    const saidSo = sections
      .filter(({ text }) => text.includes('Not imported yet'))
      .flatMap(({ names }) => names)
    expect(unused).to.deep.equal(saidSo)
  })
})
