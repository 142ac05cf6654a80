/**
 * What `limpet receive` has ready to be sent: a room that it is in, a new event in it, and the command that hands both to
 * limpet. So one command leads to one delivery.
 */
import type { Config } from '../../config/config.ts'
import { readGeneratedTokens } from '../../config/secrets.ts'
import { makePdu } from '../../matrix/make-pdu.ts'
import type { SigningKey } from '../../matrix/signing.ts'
import { shellWord } from '../shell-word.ts'

const ROOM_VERSION = '11'

/** The body of a request to ingest. `now`: ms since the epoch; no two of them have the same event. */
export function firstEvent(
  { origin, key, serverName, port }: { origin: string; key: SigningKey; serverName: string; port: number },
  now: number,
): object {
  // A room for each port: nobody else is owed what is said there.
  const roomId = `!receive-${port}:${origin}`
  const said = new Date(now).toISOString()
  const { eventId, pdu } = makePdu(
    {
      ...{ roomId, type: 'm.room.message', sender: `@limpet:${origin}`, originServerTs: now },
      content: { msgtype: 'm.text', body: `a first event for ${serverName}, made at ${said}` },
    },
    key,
    ROOM_VERSION,
  )
  return {
    items: [
      { type: 'servers', room_id: roomId, add: [serverName] },
      { type: 'event', room_id: roomId, room_version: ROOM_VERSION, event_id: eventId, pdu },
    ],
  }
}

export interface FeedCommand {
  /** For a shell. */
  readonly command: string
  /** What is to be put into it by hand, in words; null: nothing. */
  readonly note: string | null
}

/** The `curl` that sends `file` to the first listener that takes items. `show`: how a path is written. */
export function feedCommand(
  config: Pick<Config, 'listen' | 'tokens' | 'data_dir'>,
  file: string,
  show: (path: string) => string,
): FeedCommand {
  const [place, placeNote] = placeOf(config, show)
  const [token, tokenNote] = tokenOf(config, show)
  const headers = `-H "Authorization: Bearer ${token}" -H 'Content-Type: application/json'`
  const notes = [placeNote, tokenNote].filter((one) => one !== null)
  return {
    command: `curl ${headers} --data-binary ${shellWord(`@${show(file)}`)} ${place}`,
    note: notes.length === 0 ? null : notes.join('; '),
  }
}

function placeOf(
  { listen }: Pick<Config, 'listen'>,
  show: (path: string) => string,
): [words: string, note: string | null] {
  const listener = listen.find(({ serve }) => serve.includes('ingest'))
  const path = '/v1/ingest'
  if (listener === undefined)
    return [`http://HOST:PORT${path}`, 'HOST:PORT is where limpet takes items: no listener of `listen` does']
  if ('socket' in listener)
    return [`--unix-socket ${shellWord(show(listener.socket))} http://localhost${path}`, null]
  const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[listener.host] ?? listener.host
  const shown = host.includes(':') ? `[${host}]` : host
  if (listener.port > 0) return [shellWord(`http://${shown}:${listener.port}${path}`), null]
  return [`http://${shown}:PORT${path}`, 'PORT is the one that `limpet run` says it listens on']
}

function tokenOf(
  { tokens, data_dir }: Pick<Config, 'tokens' | 'data_dir'>,
  show: (path: string) => string,
): [words: string, note: string | null] {
  const [used] = tokens.ingest
  const generated = readGeneratedTokens(data_dir).ingest
  if (used !== undefined && used.token !== generated)
    return ['$INGEST', 'INGEST is the token that the configuration has for ingest']
  // Made by the first `run` at the latest.
  const file = shellWord(show(`${data_dir}/tokens.yaml`))
  return [`$(sed -n 's/^ingest: //p' ${file} | tr -d '"')`, null]
}
