/** What `limpet receive` says at its start: who it is, how `limpet run` reaches it, and how a first event comes to it. */
import { wrap } from '../admin/wrap.ts'
import type { Screen } from '../screen.ts'
import type { FeedCommand } from './first-event.ts'
import { asYaml, type NeededSettings } from './needed-settings.ts'

export interface Intro {
  readonly serverName: string
  readonly origin: string
  /** Why there is another certificate authority than before; null: there is not. */
  readonly replaced: string | null
  readonly settings: NeededSettings
  /** The command that starts limpet with them. */
  readonly run: string
  readonly feed: FeedCommand
}

/** Commands and settings stand alone in their lines, whole and at their beginning, to be copied. */
export function introLines(intro: Intro, { width, tint }: Screen): string[] {
  const { serverName, origin, replaced, settings, run, feed } = intro
  const say = (text: string) => ['', wrap(text, 0, width, [serverName, origin])]
  const title = `${serverName} is a homeserver that takes what ${origin} sends, and says what it objects to.`
  const isReached = Object.keys(settings).length === 0
  return [
    tint('title', wrap(title, 0, width, [serverName, origin])),
    ...(replaced === null
      ? []
      : say(`Its certificate authority is a new one (${replaced}): start limpet again, or send it SIGHUP.`)),
    ...(isReached
      ? [...say('limpet reaches it with the settings that it has:'), run]
      : [
          ...say('limpet reaches it when it is started so:'),
          run,
          ...say('or with these settings in its configuration file (`federation` is there once):'),
          ...asYaml(settings),
        ]),
    ...say('This has one event sent to it:'),
    feed.command,
    ...(feed.note === null ? [] : [wrap(`(${feed.note})`, 0, width)]),
    ...say('What comes is shown here, with the time (UTC), until Ctrl-C.'),
    '',
  ]
}
