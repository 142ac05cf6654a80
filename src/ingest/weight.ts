/** How much of a commit, and of what may wait for one, does a request take? Pure. */
import type { Item } from './items.ts'

/** So many characters of PDUs and EDUs weigh as much as an item without any: at most 80 million wait (`append.ts`). */
const CHARACTERS_AN_ITEM = 4_096
/** An erased sender weighs as much: nobody knows how much is stored of it. */
const ERASES_A_SENDER = 100

/**
 * What a request costs of a commit and of memory, in items; each part of an EDU is one. A redaction counts twice: the freezes of all processes
 * wait for its commit, so that a thousand of them share it with no more.
 */
export function weightOf({ items }: { readonly items: readonly Item[] }): number {
  let characters = 0
  let redactions = 0
  let parts = 0
  for (const item of items) {
    if ('pdu' in item) characters += item.pdu.length
    if (item.type === 'edu') {
      parts += Math.max(0, item.parts.length - 1)
      for (const { content } of item.parts) characters += content.length
    }
    if (item.type === 'redact') redactions += 1
    if (item.type === 'erase') redactions += 2 * (item.eventIds?.length ?? ERASES_A_SENDER)
  }
  return 1 + items.length + parts + redactions + Math.floor(characters / CHARACTERS_AN_ITEM)
}
