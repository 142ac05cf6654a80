/**
 * A homeserver that refuses a whole transaction because of one EDU in it: one that it can't read, or a "poison" one.
 *
 * Synapse answers 500 to all of a transaction when an EDU has no `edu_type`; others answer 400.
 */
import { matrixError, ok } from './behaviour.ts'
import type { Behaves, FixedAnswer } from './behaviour.ts'
import type { WireEdu } from './edu-form.ts'

/** `which`: the EDUs for which it answers `answer`; to everything else it behaves as `otherwise` says. */
export function refusingEdus(
  which: (edu: WireEdu) => boolean,
  answer: FixedAnswer = matrixError(500, 'M_UNKNOWN', 'Internal server error'),
  otherwise: Behaves = ok,
): Behaves {
  return (request) => {
    if (request.edus.some(which)) return answer
    return typeof otherwise === 'function' ? otherwise(request) : otherwise
  }
}

export const isMalformed = ({ fault }: WireEdu): boolean => fault !== null
export const hasType =
  (type: string) =>
  (edu: WireEdu): boolean =>
    edu.type === type
/** A to-device message, by its `message_id`. */
export const hasMessageId =
  (id: string) =>
  ({ type, content }: WireEdu): boolean =>
    type === 'm.direct_to_device' && content['message_id'] === id
