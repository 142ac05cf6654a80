/** A Containerfile's stages and steps, as far as ours uses the language: an unknown instruction is an error. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HERE } from '../support/built.ts'

const KNOWN = 'FROM WORKDIR COPY RUN USER VOLUME ENV EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD'.split(' ')

export interface Step {
  readonly instruction: string
  readonly text: string
}

export interface Stage {
  readonly image: string
  readonly name: string | null
  readonly steps: readonly Step[]
}

/** @param file its path in the checkout */
export function readContainerfile(file: string): Stage[] {
  const stages: { image: string; name: string | null; steps: Step[] }[] = []
  const lines = readFileSync(join(HERE, file), 'utf8').replaceAll('\\\n', ' ').split('\n')
  for (const line of lines.filter((one) => !/^\s*(#|$)/.test(one))) {
    const [, instruction = '', text = ''] = /^([A-Z]+) (.+)$/.exec(line) ?? []
    if (!KNOWN.includes(instruction)) throw new Error(`${file}: ${line}`)
    if (instruction === 'FROM') {
      const [image = '', , name = null] = text.split(' ')
      stages.push({ image, name, steps: [] })
    } else stages.at(-1)?.steps.push({ instruction, text })
  }
  return stages
}

/** What the last of these instructions says, or null. */
export const textOf = ({ steps }: Stage, instruction: string): string | null =>
  steps.findLast((step) => step.instruction === instruction)?.text ?? null

/** The words of an instruction in its JSON form. @throws where it is not in that form: a shell would stand in between */
export const wordsOf = (text: string): string[] => JSON.parse(text) as string[]

/** `--from`, what is copied, and where to. */
export function copyOf(text: string): { from: string | null; sources: string[]; target: string } {
  const [, from = null, rest = ''] = /^(?:--from=(\S+) )?(.+)$/.exec(text) ?? []
  const words = rest.split(/\s+/)
  return { from, sources: words.slice(0, -1), target: words.at(-1) ?? '' }
}
