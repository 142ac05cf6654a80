/**
 * One EDU as it is sent: `{"content":…,"edu_type":…}`, canonical, around content that is canonical text already.
 *
 * Spec: server-server API, "EDUs". MSC4514: a whole EDU has at most 65,536 bytes of canonical JSON. What has more is
 * sent as it is, alone; nothing is packed beyond that.
 */
export const MAX_EDU_BYTES = 65_536

const BEFORE_CONTENT = '{"content":'

/** `content`: canonical JSON. */
export const eduText = (eduType: string, content: string): string =>
  `${BEFORE_CONTENT}${content}${afterContent(eduType)}`

/** The content within the text of a whole EDU of that type. */
export const contentOfEdu = (eduType: string, text: string): string =>
  text.slice(BEFORE_CONTENT.length, -afterContent(eduType).length)

// `JSON.stringify` escapes what canonical JSON escapes, where no surrogate is alone.
const afterContent = (eduType: string): string => `,"edu_type":${JSON.stringify(eduType)}}`

/** Behind the closing quote of the string that begins at `at`, in canonical text. */
export function endOfString(text: string, at: number): number {
  for (let quote = text.indexOf('"', at + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let before = quote
    while (text[before - 1] === '\\') before -= 1
    if ((quote - before) % 2 === 0) return quote + 1
  }
  return text.length
}

/** Where something goes when EDUs are put together. */
export interface EduPlace {
  /** How many EDUs more there are then. */
  readonly edus: 0 | 1
  /** Bytes more, without commas between EDUs. */
  readonly bytes: number
  /** Puts it there. Only the next thing after the question may. */
  readonly take: () => void
}
