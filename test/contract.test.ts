/**
 * Comments, tests and pages name sections of the contract (`docs/contract.md`): "contract 5.2", "contract 3, 5.6",
 * "the contract, section 4". Each of these is there.
 */
import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDERS = ['src', 'queues', 'migrations', 'test', 'ops', 'docs']
const PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
const CONTRACT = 'docs/contract.md'
const REFERENCE = /\bcontract,?(?: section)? (\d+(?:\.\d+)?(?:(?:,| and|[-–]) \d+(?:\.\d+)?)*)/gi

/** `5`, and `5.2`: its headings, and the numbered promises below one. */
function sections(text: string): Set<string> {
  const found = new Set<string>()
  let heading = ''
  for (const line of text.split('\n')) {
    const section = /^## (\d+)\. /.exec(line)?.[1]
    if (section !== undefined) found.add((heading = section))
    const promise = /^(\d+)\. /.exec(line)?.[1]
    if (promise !== undefined) found.add(`${heading}.${promise}`)
  }
  return found
}

/** Every section that `text` names; comments are read as one line. */
function named(text: string): string[] {
  const flat = text.replaceAll(/\s*\n\s*(?:\*|\/\/|--|#)?\s*/g, ' ')
  return [...flat.matchAll(REFERENCE)].flatMap(([, list]) => list?.match(/\d+(?:\.\d+)?/g) ?? [])
}

function* files(): Iterable<string> {
  for (const page of PAGES) yield page
  for (const folder of FOLDERS) {
    const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    for (const entry of entries) {
      if (entry.isFile() && /\.(ts|mts|md|sql|ya?ml)$/.test(entry.name))
        yield join(entry.parentPath, entry.name).slice(ROOT.length)
    }
  }
}

describe('references to the contract', () => {
  const there = sections(readFileSync(join(ROOT, CONTRACT), 'utf8'))

  it('resolve', () => {
    const dangling: string[] = []
    let references = 0
    for (const file of files()) {
      for (const section of named(readFileSync(join(ROOT, file), 'utf8'))) {
        references += 1
        if (!there.has(section)) dangling.push(`${file}: contract ${section}`)
      }
    }
    expect(dangling).to.deep.equal([])
    expect(references, 'references in all').to.be.above(30)
  })

  // Put together, so that it is no reference itself.
  const MISSING = ['5', '99'].join('.')

  it('are found in every form that is used, and told from what is not there', () => {
    const text = `/**\n * as contract\n * 5.2, ${MISSING} have it; contract, section 3; Contract 5.4 and 5.6.\n */`
    expect(named(text)).to.deep.equal(['5.2', MISSING, '3', '5.4', '5.6'])
    expect(['5.2', '3', '7', MISSING, '8'].map((section) => there.has(section))).to.deep.equal([
      true,
      true,
      true,
      false,
      false,
    ])
  })
})
