/** Commands that show somebody who has just seen the demo what limpet can tell, for `--keep-running`: each one works as it stands. */
import { wrap } from '../admin/wrap.ts'
import type { Screen } from '../screen.ts'
import { shellWord } from '../shell-word.ts'

export interface ToTry {
  /** Where limpet listens. */
  readonly url: string
  /** Its configuration, with its tokens. */
  readonly file: string
  /** The folder in which `program` works, and what is typed to run limpet there. */
  readonly cwd: string
  readonly program: string
  readonly dead: string
  /** A server with a name. */
  readonly named: string
  /** One that is sticky, where there is one. */
  readonly eventId: string
  readonly roomId: string
  readonly userId: string
}

/** What each shows, and the command. */
export function commandsToTry(to: ToTry): (readonly [what: string, command: string])[] {
  const { url, file, program, dead, named, eventId, roomId, userId } = to
  const limpet = (...words: string[]) => [program, ...[...words, '--config', file].map(shellWord)].join(' ')
  const token = (kind: string) => `"Authorization: Bearer $(sed -n 's/^  ${kind}: //p' ${shellWord(file)})"`
  const typing = {
    ...{ type: 'edu', edu_type: 'm.typing', rooms: [roomId] },
    content: { room_id: roomId, user_id: userId, typing: true },
  }
  const body = shellWord(JSON.stringify({ items: [typing] }))
  const json = `-H 'Content-Type: application/json'`
  return [
    ['How it is', limpet('status')],
    ['Every destination, what is urgent first', limpet('destinations')],
    ['The dead one: what it is owed, and when it is tried next', limpet('destination', dead)],
    ['What would be sent to it', limpet('preview', dead)],
    ['Who is still owed sticky events', limpet('sticky')],
    ['Who has one of them, and how', limpet('explain', eventId, '--all')],
    ['How a server is found', limpet('discover', named)],
    ['Have it told that somebody types', `curl -H ${token('ingest')} ${json} -d ${body} ${url}/v1/ingest`],
    ['The admin API', `curl -H ${token('admin')} ${url}/v1/status`],
    ['Its reference, to be read in a browser', `curl ${url}/docs`],
    ['What Prometheus gets', `curl ${url}/metrics`],
  ]
}

export function textToTry(to: ToTry, { width, tint }: Screen): string {
  const about =
    `limpet and all servers go on until Ctrl-C. limpet listens at ${to.url}; its configuration and its tokens are in ${to.file}. ` +
    `In another terminal, in ${to.cwd}:`
  const lines = commandsToTry(to).flatMap(([what, command]) => ['', tint('faint', `# ${what}`), command])
  return [wrap(about, 0, width, [to.url, to.file, to.cwd]), ...lines, ''].join('\n')
}

/** What is typed to run this program again. `main`: the file that was started. */
export const programOf = (main: string): string =>
  main.endsWith('.ts') ? `npx tsx ${shellWord(main)}` : 'npx limpet'
