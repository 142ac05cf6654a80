/**
 * Of which class is what a server says of a PDU that it does not take? The specification has a text there and no code, so it is told by its
 * words: those that the servers that are used most write. Whatever none of them fits is `other`.
 */
export const PDU_ERROR_CLASSES = ['forbidden', 'signature', 'auth', 'size', 'room', 'form', 'other'] as const
export type PduErrorClass = (typeof PDU_ERROR_CLASSES)[number]

/** The first that fits counts: a text that speaks of a ban and of auth events is about the ban. */
const WORDS: readonly [PduErrorClass, RegExp][] = [
  ['signature', /signature|signing|verify[- ]?key|hash/i],
  ['size', /too (?:large|big|long)|size/i],
  ['forbidden', /banned|\bacls?\b|access control|forbidden|not allowed|denied/i],
  ['auth', /auth/i],
  ['room', /room/i],
  ['form', /no object|not a text|json|pars|invalid|missing|malformed|canonical|format|schema/i],
]

export const pduErrorClass = (error: string): PduErrorClass =>
  WORDS.find(([, words]) => words.test(error))?.[0] ?? 'other'
