/** The blocks of commands on a page, in its order, as they stand there. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HERE } from '../support/built.ts'

/** @param page its path in the checkout */
export function commandsOf(page: string): string[] {
  const text = readFileSync(join(HERE, page), 'utf8')
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, commands = '']) => commands)
}
