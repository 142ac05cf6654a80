/**
 * What does an answer say that is no Matrix error? Its first words, for an operator: a proxy's or a CDN's page names what is wrong.
 *
 * Pure. The text is anything: the time is linear in what is looked at, and what comes of it is fit to print (`oneLine`).
 */
import { oneLine } from '../observe/one-line.ts'

/** Pages begin with styles and scripts. */
const LOOKED_AT = 8_192
const LONGEST = 150
/** What stands between these is not for people. */
const HIDDEN = ['script', 'style', 'svg']

/** Empty where there are no words. */
export function firstWords(body: Buffer): string {
  const text = body.toString('utf8', 0, LOOKED_AT)
  const words = oneLine(text.trimStart().startsWith('<') ? wordsOf(text) : text, LONGEST)
  return /\p{L}/u.test(words) ? words : ''
}

/** The text of HTML, tags left out. Entities stay as they are, but for the space. */
function wordsOf(html: string): string {
  const lower = html.toLowerCase()
  const words: string[] = []
  for (let at = 0; at < html.length;) {
    const tag = html.indexOf('<', at)
    words.push(html.slice(at, tag < 0 ? html.length : tag))
    if (tag < 0) break
    const hidden = HIDDEN.find((name) => lower.startsWith(name, tag + 1))
    const end = endOf(tag, hidden)
    if (end < 0) break
    at = end + 1
  }
  return words.join(' ').replaceAll('&nbsp;', ' ')

  /** Of a tag, with all that it hides; less than 0: it has none. */
  function endOf(tag: number, hidden: string | undefined): number {
    if (lower.startsWith('<!--', tag)) {
      const end = html.indexOf('-->', tag)
      return end < 0 ? end : end + 2
    }
    const from = hidden === undefined ? tag : lower.indexOf(`</${hidden}`, tag)
    return from < 0 ? from : html.indexOf('>', from)
  }
}
