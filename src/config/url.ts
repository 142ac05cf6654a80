/**
 * Connection URLs of PostgreSQL and Redis, in every form that their drivers accept: `user:password@host`,
 * `user:password@/db?host=/socket`, and everything in the query string.
 */

/** In the place of a host that is left out, which a URL with a user can't do without. */
const NO_HOST = 'no-host.invalid'

/** Null: not a URL, not even by the drivers' rules. */
export function parseConnectionUrl(text: string): URL | null {
  if (URL.canParse(text)) return new URL(text)
  const completed = text.replace('@/', `@${NO_HOST}/`)
  return URL.canParse(completed) ? new URL(completed) : null
}

/** Where a `postgres://` URL leads, for people: host, port and database, and nothing that is a secret. */
export function placeOf(text: string): string {
  const url = parseConnectionUrl(text)
  if (url === null) return 'an invalid URL'
  const given = url.hostname === NO_HOST ? '' : decoded(url.hostname)
  const host = url.searchParams.get('host') ?? (given === '' ? 'localhost' : given)
  const port = url.searchParams.get('port') ?? (url.port === '' ? '5432' : url.port)
  return `${host}:${port}${url.pathname}`
}

export function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
