/** What an EDU says, in a few words: who does what where. */
import type { SeenEduPart } from '../../simulate/fleet/edu-parts.ts'
import { plain } from '../admin/letters.ts'

/** Of one EDU so many parts are told. */
const MOST_PARTS = 3

export function aboutEdu(parts: readonly SeenEduPart[]): string {
  const more = parts.length > MOST_PARTS ? [`and ${parts.length - MOST_PARTS} more`] : []
  return [...parts.slice(0, MOST_PARTS).map(aboutPart), ...more].filter((one) => one !== '').join('; ')
}

/** Ids in what `aboutEdu` says. */
export const idsOfEdu = (parts: readonly SeenEduPart[]): string[] =>
  parts
    .slice(0, MOST_PARTS)
    .flatMap((part) => [
      ...('userId' in part ? [part.userId] : []),
      ...('roomId' in part ? [part.roomId] : []),
      ...('eventId' in part ? [part.eventId] : []),
      ...(part.kind === 'to-device' ? [part.sender, part.messageId, ...part.userIds] : []),
    ])

function aboutPart(part: SeenEduPart): string {
  switch (part.kind) {
    case 'typing':
      return plain(`${part.userId} ${part.typing ? 'types' : 'stopped typing'} in ${part.roomId}`)
    case 'receipt': {
      const thread = part.threadId === null ? '' : `, thread ${part.threadId}`
      return plain(`${part.userId} has read ${part.eventId} in ${part.roomId}${thread}`)
    }
    case 'presence':
      return plain(
        `${part.userId} is ${part.presence}${part.statusMsg === null ? '' : ` (${part.statusMsg})`}`,
      )
    case 'to-device':
      return plain(`${part.type} of ${part.sender} for ${part.userIds.join(', ')}, id ${part.messageId}`)
    case 'device list': {
      const deleted = part.deleted ? ' deleted' : ''
      return plain(`device ${part.deviceId} of ${part.userId}${deleted}, stream id ${part.streamId}`)
    }
    case 'signing keys':
      return plain(`signing keys of ${part.userId}`)
    case 'other':
      return ''
  }
}
