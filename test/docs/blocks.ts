/** The blocks of commands in the pages: what readers copy. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Block {
  /** From the repository's root. */
  readonly page: string
  /** Of its first line, from 1. */
  readonly line: number
  readonly language: string
  readonly text: string
}

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** All pages that tell somebody what to type. */
export function pagesOf(): string[] {
  const below = ['docs', 'ops', 'examples'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  )
  return ['README.md', 'CONTRIBUTING.md', ...below].filter((name) => name.endsWith('.md')).sort()
}

/** Those of a page that are for a shell, in its order, as they stand there. */
export function commandsOf(page: string): string[] {
  return blocksOf(page).flatMap(({ language, text }) => (language === 'sh' ? [`${text}\n`] : []))
}

/** A block in a list is indented; what it is indented by is no part of it. */
export function blocksOf(page: string): Block[] {
  const lines = readFileSync(join(ROOT, page), 'utf8').split('\n')
  const blocks: Block[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const opened = /^( *)```(\w*)$/.exec(lines[at] ?? '')
    if (opened === null) continue
    const [, indent = '', language = ''] = opened
    const end = lines.indexOf(`${indent}\`\`\``, at + 1)
    if (end < 0) throw new Error(`${page}:${at + 1}: a block without an end`)
    const text = lines.slice(at + 1, end).map((line) => line.slice(indent.length))
    blocks.push({ page, line: at + 2, language, text: text.join('\n') })
    at = end
  }
  return blocks
}
