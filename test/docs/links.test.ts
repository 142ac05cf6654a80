/** What the pages point at is there: files and headings, and of limpet commands with their options. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect } from 'chai'
import { makeProgram } from '../../src/cli/program.ts'
import { blocksOf, pagesOf, ROOT } from './blocks.ts'

const textOf = (page: string) => readFileSync(join(ROOT, page), 'utf8')
/** As GitHub makes them. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
const anchorsOf = (page: string) =>
  [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading))

describe('the pages', () => {
  it('link to files and headings that there are', () => {
    const broken: string[] = []
    let links = 0
    for (const page of pagesOf())
      for (const [, link = ''] of textOf(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
        links += 1
        const [path = '', anchor] = link.split('#')
        const target = path === '' ? page : normalize(join(dirname(page), path))
        const there =
          existsSync(join(ROOT, target)) && (anchor === undefined || anchorsOf(target).includes(anchor))
        if (!there) broken.push(`${page}: ${link}`)
      }
    expect(broken).to.deep.equal([])
    expect(links).to.be.above(150)
  })

  it('name commands and options that there are', () => {
    const silent = { write: () => undefined }
    const { commands } = makeProgram({ stdout: silent, stderr: silent, env: {}, cwd: '/' })
    const wrong: string[] = []
    let named = 0
    for (const page of pagesOf().filter((name) => name !== 'docs/contract.md')) {
      const inline = [...textOf(page).matchAll(/`(?:npx )?limpet ([a-z][^`]*)`/g)].map(
        ([, line = '']) => line,
      )
      const lines = blocksOf(page).flatMap(({ language, text }) =>
        language === 'sh'
          ? [...text.matchAll(/(?:^|npx |&& )limpet ([a-z].*)$/gm)].map(([, line = '']) => line)
          : [],
      )
      for (const line of [...inline, ...lines]) {
        const [first = '', ...rest] = line.replace(/#.*$/, '').trim().split(/\s+/)
        for (const name of first.split('|')) {
          named += 1
          const command = commands.find((one) => one.name() === name)
          const inner = command?.commands.find((one) => rest[0]?.split('|').includes(one.name()) === true)
          const options = [command, inner].flatMap((one) => one?.options.map(({ long }) => long) ?? [])
          const unknown = rest.filter(
            (word) => /^--[a-z]/.test(word) && !options.includes(word.split('=')[0]),
          )
          if (command === undefined) wrong.push(`${page}: limpet ${name}`)
          else wrong.push(...unknown.map((option) => `${page}: limpet ${name} ${option}`))
        }
      }
    }
    expect(wrong).to.deep.equal([])
    expect(named).to.be.above(100)
  })
})
