/**
 * Asks a running daemon over HTTP: at its first `admin` listener with the admin token, or as `--url` and `--token`
 * say.
 *
 * Every failure is a `CommandError` of one line that says what to do. A configured listener gets the token only once
 * it is certain that it is limpet's (`connect-to-limpet.ts`). A `--url` is trusted as given.
 */
import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { loadConfig, type Config } from '../../config/config.ts'
import { CommandError, UsageError } from '../cli-error.ts'
import { connectToLimpet, type LimpetListener } from './connect-to-limpet.ts'
import type { Io } from '../io.ts'
import { limpetUsers } from './limpet-users.ts'

/** Long enough for the largest explain on a busy database. */
const TIMEOUT_MS = 60_000

export interface AdminClient {
  get(path: string, query?: Readonly<Record<string, string | undefined>>): Promise<unknown>
  /** `body`: sent as JSON. */
  post(path: string, body?: object): Promise<unknown>
}

export interface ClientOptions {
  config?: string | undefined
  url?: string | undefined
  token?: string | undefined
}

/** The client that options and configuration lead to. Asks nothing yet. */
export function openAdminClient(
  { config: file, url, token }: ClientOptions,
  { env, cwd, secrets }: Io,
): AdminClient {
  if (url !== undefined) secrets?.addUrl(url)
  if (token !== undefined) secrets?.add(token)
  // With both given there need not be a configuration here at all.
  const config = url === undefined || token === undefined ? loadConfig({ file, env, cwd, secrets }) : null
  const target = url === undefined ? targetOf(config) : targetOfUrl(url)
  const bearer = token ?? config?.tokens.admin[0]?.token
  if (bearer === undefined) {
    throw new CommandError(
      'there is no admin token yet: start `limpet run`, which makes one, or give --token',
    )
  }
  const ask = (method: string, path: string, body?: object) =>
    exchange(target, { method, path, bearer, body })
  return {
    get: (path, query = {}) => {
      const given = Object.entries(query).flatMap(([key, value]) =>
        value === undefined ? [] : [[key, value]],
      )
      const text = new URLSearchParams(given as [string, string][]).toString()
      return ask('GET', text === '' ? path : `${path}?${text}`)
    },
    post: (path, body) => ask('POST', path, body),
  }
}

interface ApiTarget {
  /** For people. */
  shown: string
  secure: boolean
  options: RequestOptions
  /** Before every path; without a slash at its end. */
  prefix: string
  /** What the configuration says; null: what `--url` says. */
  listener: LimpetListener | null
}

function targetOf(config: Config | null): ApiTarget {
  const listener = config?.listen.find(({ serve }) => serve.includes('admin'))
  if (config === null || listener === undefined)
    throw new CommandError('no listener in `listen` serves `admin`: give --url')
  const users = limpetUsers(config)
  if ('socket' in listener) {
    const { socket } = listener
    return targetOfListener({ place: { socketPath: socket }, shown: socket, users })
  }
  if (listener.port === 0) {
    throw new CommandError('the admin listener has port 0, so its port changes at every start: give --url')
  }
  // A listener on all addresses is here as well.
  const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[listener.host] ?? listener.host
  const shown = `http://${host.includes(':') ? `[${host}]` : host}:${listener.port}`
  return targetOfListener({ place: { host, port: listener.port }, shown, users })
}

function targetOfListener(listener: LimpetListener): ApiTarget {
  return { shown: listener.shown, secure: false, options: listener.place, prefix: '', listener }
}

function targetOfUrl(text: string): ApiTarget {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new UsageError(`--url must be an http:// or https:// URL, not ${text}`)
  }
  const secure = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port)
  return {
    shown: url.origin,
    secure,
    options: { host, port },
    prefix: url.pathname.replace(/\/+$/, ''),
    listener: null,
  }
}

interface Ask {
  method: string
  path: string
  bearer: string
  body?: object | undefined
}

async function exchange(target: ApiTarget, ask: Ask): Promise<unknown> {
  const { shown } = target
  const { status, text } = await answerOf(target, ask).catch((error: unknown) => {
    if (error instanceof CommandError) throw error
    throw new CommandError(
      `no limpet answers at ${shown} (${whyNot(error)}): is \`limpet run\` running there?`,
      {
        cause: error,
      },
    )
  })
  const body = parseJson(text)
  if (body === null)
    throw new CommandError(`what answers at ${shown} is not limpet (status ${status}, no JSON)`)
  if (status === 200) return body
  const { errcode, error } = body
  const why = typeof error === 'string' ? error : `status ${status}`
  throw new CommandError(typeof errcode === 'string' ? `${why} (${errcode})` : why)
}

async function answerOf(
  { secure, options, prefix, listener }: ApiTarget,
  { method, path, bearer, body }: Ask,
): Promise<{ status: number; text: string }> {
  const socket = listener === null ? null : await connectToLimpet(listener, { timeoutMs: TIMEOUT_MS })
  return new Promise((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)(
      {
        ...options,
        method,
        path: prefix + path,
        headers: {
          authorization: `Bearer ${bearer}`,
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(socket === null ? { agent: false } : { createConnection: () => socket }),
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') })
        })
      },
    )
    request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)))
    request.on('error', reject)
    request.end(body && JSON.stringify(body))
  })
}

function parseJson(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOENT: 'no such socket',
  ENOTFOUND: 'no such host',
  EACCES: 'permission denied',
  ECONNRESET: 'the connection was reset',
}

function whyNot(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return REASONS[code ?? ''] ?? (message === '' ? (code ?? 'unknown') : message)
}
