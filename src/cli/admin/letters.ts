/**
 * How many columns of a terminal does text take, and where can it be cut or broken?
 *
 * Counted as terminals do: East Asian wide characters and emoji take two columns, marks that stand on the letter before
 * them none (Unicode Standard Annex 11).
 */
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|^\p{Emoji_Presentation}/u
const NONE = /^[\p{Mn}\p{Me}]/u
// eslint-disable-next-line no-control-regex
const ORDINARY = /^[\u0000-\u02ff]*$/

const widthOfLetter = (letter: string) => (NONE.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1)

/** Columns. */
export function lengthOf(text: string): number {
  if (ORDINARY.test(text)) return text.length
  return Array.from(text).reduce((sum, letter) => sum + widthOfLetter(letter), 0)
}

/** Control and format characters could move the cursor or turn the direction of the text: each becomes U+FFFD. */
export const plain = (text: string) => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd')

/** At most `width` columns of `text`: what is too long loses its middle. */
export function cut(text: string, width: number): string {
  if (lengthOf(text) <= width) return text
  const letters = Array.from(text)
  const head = take(letters, Math.ceil((width - 1) / 2))
  const tail = take(letters.toReversed(), width - 1 - lengthOf(head))
  return `${head}…${Array.from(tail).reverse().join('')}`
}

/** `text` in pieces of at most `width` columns; nothing is left out. */
export function broken(text: string, width: number): string[] {
  const pieces: string[] = []
  let rest = Array.from(text)
  while (rest.length > 0) {
    // A single letter may be wider than that.
    const piece = take(rest, width) || (rest[0] ?? '')
    pieces.push(piece)
    rest = rest.slice(Array.from(piece).length)
  }
  return pieces
}

function take(letters: readonly string[], width: number): string {
  let used = 0
  const end = letters.findIndex((letter) => (used += widthOfLetter(letter)) > width)
  return (end === -1 ? letters : letters.slice(0, end)).join('')
}
