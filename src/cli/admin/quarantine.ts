/** `limpet quarantine NAME`: what a destination refuses, and the rooms that are held therefore; has one tried, or gives it up. */
import type { Command } from 'commander'
import { UsageError } from '../cli-error.ts'
import { pathOf } from './act.ts'
import type { ActionAnswer, QuarantineAnswer } from './answers.ts'
import { list, mostOf } from './list.ts'
import type { Printing } from './printing.ts'
import { SHAPES } from './shape.ts'
import { suggesting } from './similar.ts'
import { ageText, distance, shownOf } from './ages.ts'
import type { Screen } from '../screen.ts'
import { table } from './table.ts'
import { remark, wrap } from './wrap.ts'

interface Options {
  retry?: string
  drop?: string
  limit?: string
  all?: boolean
}

export function registerQuarantineCommand({ addWatched, print, now }: Printing): void {
  addWatched(
    'quarantine <name>',
    'show what a destination refuses, which was set aside, and rooms that are held for it',
  )
    .option('--retry <id>', 'have this one tried now')
    .option(
      '--drop <id>',
      'give this one up: of a room all that was refused of it; the rest of the room goes on',
    )
    .option('--limit <n>', 'show at most this many (100)')
    .option('--all', 'show all')
    .action((name: string, { retry, drop, limit, all }: Options, command: Command) => {
      if (retry !== undefined && drop !== undefined) throw new UsageError('--retry or --drop, not both')
      const path = `${pathOf(name)}/quarantine`
      const act = (verb: 'retry' | 'drop', id: string, done: string) =>
        print(command, {
          ask: (client) =>
            suggesting(
              client,
              name,
              () =>
                client.post(
                  `${path}/${encodeURIComponent(id)}/${verb}`,
                  SHAPES.done,
                ) as Promise<ActionAnswer>,
            ),
          show: (answer, screen) => showActed(`${id} of ${name} ${done}`, answer, screen, [id, name]),
        })
      if (retry !== undefined) return act('retry', retry, 'is tried now')
      if (drop !== undefined) return act('drop', drop, 'is given up')
      const most = mostOf({ limit, all })
      const ask = (order: { order_by?: string }) => (client: Parameters<typeof list>[0]) =>
        suggesting(client, name, () =>
          list(client, {
            ...{ path, field: 'quarantine', shape: SHAPES.quarantine, query: order, most },
            idOf: ({ id }: QuarantineAnswer['quarantine'][number]) => id,
          }),
        ) as Promise<QuarantineAnswer>
      return print(command, {
        ask: ask({ order_by: 'next_try' }),
        json: ask({}),
        show: (answer, screen) => showQuarantine(answer, now(), screen),
      })
    })
}

const showActed = (
  done: string,
  { blocked }: ActionAnswer,
  { width }: Screen,
  ids: readonly string[],
): string =>
  blocked === undefined ? done : wrap(`${done}; nothing is sent to it, because ${blocked}`, 2, width, ids)

export function showQuarantine({ quarantine, total }: QuarantineAnswer, now: number, screen: Screen): string {
  if (total === 0) return 'nothing is set aside'
  const footer = shownOf(quarantine.length, total)
  if (quarantine.length === 0) return footer
  return `${quarantineTable(quarantine, now, screen)}\n${footer}`
}

/** One line for each, and below it what was answered. */
export function quarantineTable(
  quarantine: QuarantineAnswer['quarantine'],
  now: number,
  screen: Screen,
): string {
  return table(
    quarantine,
    [
      // Another option of this command takes it.
      { title: 'ID', value: (row) => row.id, id: 'id' },
      { title: 'WHAT', value: (row) => row.event_id ?? row.edu_type ?? row.kind, id: 'what' },
      { title: 'ROOM', value: (row) => row.room_id, id: 'room' },
      { title: 'SINCE', value: (row) => ageText(now - row.since), right: true },
      { title: 'TRIES', value: (row) => row.tries, right: true },
      { title: 'NEXT', value: (row) => distance(row.next_try, now), right: true },
      { title: 'STATUS', value: (row) => row.status && String(row.status), right: true },
    ],
    screen,
    ({ message }) => (message === null ? null : remark(message, screen)),
  )
}
