/**
 * Text from elsewhere, made safe for a terminal: no character moves the cursor, changes colours or the displayed text,
 * or reverses the direction of what follows.
 *
 * The characters concerned are control characters (C0, DEL, C1), format characters (bidi overrides, zero width), and
 * the two Unicode separators of lines and paragraphs. Line feed and tab stay.
 */
const ODD = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
const ODD_IN_JSON = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
/** An escape within JSON; `1`: of a character that is not shown. */
const ESCAPE = /\\(?:(u00[01][0-9a-f]|u007f|u00[89][0-9a-f]|[bfr])|.)/gi
const SHOWN = '\ufffd'

/** `text` with such characters replaced. */
export function printable(text: string): string {
  return text.replace(ODD, SHOWN)
}

/** JSON text with such characters escaped: the same value, in text that shows nothing odd. */
export function printableJson(json: string): string {
  return json.replace(ODD_IN_JSON, (one) =>
    one === '\n' || one === '\t' ? one : one.split('').map(escaped).join(''),
  )
}

const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

/** JSON text of which the strings, once they are read, are printable. */
export function withPrintableStrings(json: string): string {
  return printable(json).replace(ESCAPE, (whole, odd: string | undefined) =>
    odd === undefined ? whole : SHOWN,
  )
}
