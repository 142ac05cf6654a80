/**
 * Keeps secrets out of what limpet writes.
 *
 * Promise: a known secret appears in no text that went through `hide`, neither as it is, nor decoded, nor encoded for
 * a URL, for JSON or for a query string. No password of a URL appears, known or not, wherever in the URL it is. The
 * time grows with the length of the text and no faster.
 */

const MASK = '***'

export interface Secrets {
  /** A token or a password. */
  add(secret: string): void
  /** A connection URL: its passwords are secrets, and what else is in it is not. */
  addUrl(url: string): void
  hide(text: string): string
}

/** Shorter ones are in ordinary words too: of these only what a URL shows is hidden. */
const SHORTEST = 4
/** Shorter ones are hidden where they are a whole word. */
const ANYWHERE = 8

export function makeSecrets(): Secrets {
  const secrets = new Set<string>()
  /** User names, hosts and the like: a password that is the same as one would take it out of every line. */
  const open = new Set<string>(['limpet', 'postgres', 'redis', 'embedded'])
  let pattern: RegExp | null = null

  function add(secret: string): void {
    if (secret.length < SHORTEST) return
    secrets.add(secret)
    pattern = null
  }

  return {
    add,
    addUrl(url) {
      const parsed = readUrl(url)
      for (const password of parsed.passwords) add(password)
      for (const word of parsed.open) open.add(word)
      pattern = null
    },
    hide(text) {
      pattern ??= patternOf([...secrets].filter((secret) => !open.has(secret)))
      return maskUrls(text.replace(pattern, MASK))
    },
  }
}

function patternOf(secrets: readonly string[]): RegExp {
  const forms = [...new Set(secrets.flatMap(formsOf))].sort((a, b) => b.length - a.length)
  const parts = forms.map((form) => {
    const literal = form.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
    return form.length >= ANYWHERE ? literal : `(?<![A-Za-z0-9_])${literal}(?![A-Za-z0-9_])`
  })
  return new RegExp(parts.length === 0 ? '(?!)' : parts.join('|'), 'g')
}

/** How one secret may be spelled. */
function formsOf(secret: string): string[] {
  const plain = [secret, decoded(secret)]
  const spelled = plain.flatMap((text) => {
    const encoded = percent(text)
    return [
      text,
      encoded,
      encoded.replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase()),
      inUrl(text),
      inQuery(text),
    ]
  })
  const escaped = spelled.map((text) => JSON.stringify(text).slice(1, -1))
  return [...spelled, ...escaped, ...escaped.map((text) => JSON.stringify(text).slice(1, -1))].filter(
    (form) => form.length >= SHORTEST,
  )
}

function percent(text: string): string {
  try {
    return encodeURIComponent(text)
  } catch {
    // Half a pair of surrogates.
    return text
  }
}

/** As WHATWG URLs show it, which encode less. */
function inUrl(text: string): string {
  const url = new URL('redis://host')
  url.password = text
  return url.password
}

const inQuery = (text: string): string => new URLSearchParams([['', text]]).toString().slice(1)

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** `text` with the passwords of every URL in it replaced by `***`. */
export function maskUrls(text: string): string {
  if (!text.includes('://')) return text
  let masked = ''
  let done = 0
  for (const { from, to, scheme } of urlsIn(text)) {
    masked += text.slice(done, from) + maskBody(text.slice(from, to), scheme)
    done = to
  }
  return masked + text.slice(done)
}

/** Where the URLs in `text` stand, from behind their `://`. No part of the text is looked at twice. */
function* urlsIn(text: string): Generator<{ from: number; to: number; scheme: string }> {
  const end = /[\s"<>`]/g
  let stop = -1
  let at = text.indexOf('://')
  let scheme = schemeBefore(text, at + 3)
  while (at >= 0) {
    const from = at + 3
    const next = text.indexOf('://', from)
    if (stop < from) {
      end.lastIndex = from
      stop = end.exec(text)?.index ?? text.length
    }
    // Several stand in one setting, with a comma between.
    const nextScheme = next < 0 ? '' : schemeBefore(text, next + 3)
    const limit = next < 0 ? text.length : next - nextScheme.length
    yield { from, to: Math.max(from, Math.min(stop, limit)), scheme }
    at = next
    scheme = nextScheme
  }
}

/** The scheme of the URL whose body begins at `from`. */
function schemeBefore(text: string, from: number): string {
  return /[A-Za-z][A-Za-z0-9+.-]{0,20}$/.exec(text.slice(Math.max(0, from - 24), from - 3))?.[0] ?? ''
}

const SECRET_NAME = /pass(?!file)|pwd|secret|token/i
/** Where the query string begins: a `?` in a password is not followed by a name and `=`. */
const QUERY = /\?(?=[A-Za-z_][\w.-]*=)/
/** A password ends with @, a query begins with a question mark. */
const MAY_HOLD_SECRET = /[@?]/
const WEB = /^(?:https?|wss?|tcp|udp)$/i

function maskBody(body: string, scheme: string): string {
  if (!MAY_HOLD_SECRET.test(body)) return body
  const { user, password, rest, query } = splitBody(body, scheme)
  const before = password === null ? '' : password === '' ? `${user}:@` : `${user}:${MASK}@`
  const shown = query.split('&').map((pair) => {
    const [name = ''] = pair.split('=', 1)
    return SECRET_NAME.test(name) && pair.length > name.length + 1 ? `${name}=${MASK}` : pair
  })
  return before + rest + shown.join('&')
}

interface UrlBody {
  user: string
  /** Null: there is none. */
  password: string | null
  /** From the host on, or all where there is no password. */
  rest: string
  /** With its question mark. */
  query: string
}

function splitBody(body: string, scheme: string): UrlBody {
  const start = QUERY.exec(body)?.index ?? body.length
  const main = body.slice(0, start)
  const query = body.slice(start)
  // Databases' passwords are often not encoded as they should be: the last @ ends them. A path on the web may have an @.
  const region = WEB.test(scheme) ? (/^[^/?#]*/.exec(main)?.[0] ?? '') : main
  const at = region.lastIndexOf('@')
  const colon = region.indexOf(':')
  // Redis has passwords without a user, and some write them in the user's place.
  if (/^rediss?$/i.test(scheme) && at >= 0 && (colon < 0 || colon > at))
    return { user: '', password: main.slice(0, at), rest: main.slice(at + 1), query }
  if (at < 0 || colon < 0 || colon > at) return { user: '', password: null, rest: main, query }
  return { user: main.slice(0, colon), password: main.slice(colon + 1, at), rest: main.slice(at + 1), query }
}

/** What in a URL is secret, and what is not. */
function readUrl(url: string): { passwords: string[]; open: string[] } {
  const from = url.indexOf('://') + 3
  if (from < 3) return { passwords: [url], open: [] }
  const { user, password, rest, query } = splitBody(url.slice(from), url.slice(0, from - 3))
  const passwords = [password ?? '']
  const open = [user, ...rest.split(/[/:,?#]/)]
  for (const pair of query.slice(1).split('&')) {
    const [name = '', ...more] = pair.split('=')
    const value = more.join('=')
    if (SECRET_NAME.test(name)) passwords.push(value, value.replaceAll('+', ' '))
    else open.push(value)
  }
  // As the drivers understand it, where that is something else.
  if (URL.canParse(url)) passwords.push(new URL(url).password)
  return { passwords, open: open.map(decoded) }
}
