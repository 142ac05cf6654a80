/** Which proxy does a setting such as `http://user:password@proxy.example:3128` mean? */
import { hostAndPort } from './ip.ts'

export interface Proxy {
  /** Whether the proxy itself is spoken to over TLS. */
  readonly secure: boolean
  /** A name or an address, an IPv6 address without its brackets. */
  readonly host: string
  readonly port: number
  /** For `Proxy-Authorization`; null without credentials. A secret. */
  readonly authorization: string | null
  /** For people: nothing in it is a secret. */
  readonly label: string
}

/** Throws where `text` is not one; what it throws repeats nothing of the text, which may hold a password. */
export function parseProxy(text: string): Proxy {
  // As in HTTPS_PROXY variables, where the scheme is often left out.
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https')
    throw new TypeError(`a proxy is an http:// or https:// URL, not ${scheme.slice(0, 20)}://`)
  const whole = scheme === undefined ? `http://${text}` : text
  const url = URL.canParse(whole) ? new URL(whole) : null
  if (url === null || url.hostname === '' || !/^[\x21-\x7e]+$/.test(text))
    throw new TypeError('not a proxy URL such as http://proxy.example:3128')
  if (url.pathname !== '/' && url.pathname !== '')
    throw new TypeError('a proxy URL ends after its port (write / in a user name or password as %2F)')
  if (url.search !== '' || url.hash !== '')
    throw new TypeError('a proxy URL ends after its port (write ? and # in a password as %3F and %23)')
  if (url.port === '0') throw new TypeError('a proxy does not have port 0')
  const secure = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port)
  return { secure, host, port, authorization: authorizationOf(url), label: hostAndPort(host, port) }
}

/** RFC 7617, 2 and 2.1: the name can't contain a colon. */
function authorizationOf({ username, password }: URL): string | null {
  if (username === '' && password === '') return null
  const [name, word] = [username, password].map(decodedPart)
  if (name === undefined || word === undefined || name.includes(':') || /\p{Cc}/u.test(name + word))
    throw new TypeError(
      'the user name and the password of a proxy are percent-encoded UTF-8; no colon is in the name, no control character in either',
    )
  return `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}`
}

function decodedPart(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
