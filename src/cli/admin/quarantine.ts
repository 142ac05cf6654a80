/** `limpet quarantine NAME`: what a destination refuses, and the rooms that are held therefore; has one tried, or gives it up. */
import type { Command } from 'commander'
import { UsageError } from '../cli-error.ts'
import { pathOf } from './act.ts'
import type { ActionAnswer, QuarantineAnswer } from './answers.ts'
import type { AdminClient } from './client.ts'
import { ageText, distance, table, wrap } from './table.ts'

type Add = (name: string, description: string) => Command
type Print = (
  command: Command,
  ask: (client: AdminClient) => Promise<unknown>,
  show: (answer: unknown) => string,
) => Promise<void>

interface Options {
  retry?: string
  drop?: string
  limit?: string
}

export function registerQuarantineCommand(add: Add, print: Print, now: () => number): void {
  add(
    'quarantine <name>',
    'show what a destination refuses, which was set aside, and rooms that are held for it',
  )
    .option('--retry <id>', 'have this one tried now')
    .option(
      '--drop <id>',
      'give this one up: of a room all that was refused of it; the rest of the room goes on',
    )
    .option('--limit <n>', 'show at most this many (up to 1000)')
    .action((name: string, { retry, drop, limit }: Options, command: Command) => {
      if (retry !== undefined && drop !== undefined) throw new UsageError('--retry or --drop, not both')
      const path = `${pathOf(name)}/quarantine`
      const act = (verb: 'retry' | 'drop', id: string, done: string) =>
        print(
          command,
          (client) => client.post(`${path}/${encodeURIComponent(id)}/${verb}`),
          (answer) => showActed(`${id} of ${name} ${done}`, answer as ActionAnswer),
        )
      if (retry !== undefined) return act('retry', retry, 'is tried now')
      if (drop !== undefined) return act('drop', drop, 'is given up')
      return print(
        command,
        (client) => client.get(path, { limit }),
        (answer) => showQuarantine(answer as QuarantineAnswer, now()),
      )
    })
}

const showActed = (done: string, { blocked }: ActionAnswer): string =>
  blocked === undefined ? done : wrap(`${done}; nothing is sent to it, because ${blocked}`, 2)

function showQuarantine({ quarantine, total }: QuarantineAnswer, now: number): string {
  if (total === 0) return 'nothing is set aside'
  const footer = `${quarantine.length.toLocaleString('en-US')} of ${total.toLocaleString('en-US')}`
  if (quarantine.length === 0) return footer
  return `${quarantineTable(quarantine, now)}\n${footer}`
}

/** One line for each, and below it what was answered. */
export function quarantineTable(quarantine: QuarantineAnswer['quarantine'], now: number): string {
  const [titles = '', ...lines] = table(quarantine, [
    // Another option of this command takes it: it is never cut.
    { title: 'ID', value: (row) => row.id },
    { title: 'WHAT', value: (row) => row.event_id ?? row.edu_type ?? row.kind, shrinkTo: 12 },
    { title: 'ROOM', value: (row) => row.room_id, shrinkTo: 12 },
    { title: 'SINCE', value: (row) => ageText(now - row.since), right: true },
    { title: 'TRIES', value: (row) => row.tries, right: true },
    { title: 'NEXT', value: (row) => distance(row.next_try, now), right: true },
    { title: 'STATUS', value: (row) => row.status && String(row.status), right: true },
  ]).split('\n')
  const explained = lines.map((line, index) => {
    const message = quarantine[index]?.message ?? null
    return message === null ? line : `${line}\n${wrap(`    ${message}`, 4)}`
  })
  return [titles, ...explained].join('\n')
}
