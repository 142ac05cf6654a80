/**
 * Asks a running daemon over HTTP: at its first `admin` listener with the admin token, or as `--url` and `--token`
 * (`LIMPET_URL` and `LIMPET_TOKEN`) say.
 *
 * Every failure is a `CommandError` of one line that says what to do. A configured listener gets the token only once
 * it is certain that it is limpet's (`connect-to-limpet.ts`). A `--url` is trusted as given; but what answers there
 * must have shown that it is limpet before anything is changed by it.
 */
import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { loadConfig, type Config } from '../../config/config.ts'
import { configFileOf } from '../../config/env.ts'
import { CommandError, UsageError } from '../cli-error.ts'
import { connectToLimpet, type LimpetListener } from './connect-to-limpet.ts'
import type { Io } from '../io.ts'
import { SHAPES, wrongIn, type Shape } from './shape.ts'
import { limpetUsers } from './limpet-users.ts'

/** Long enough for the largest explain on a busy database. */
const TIMEOUT_MS = 60_000
/** Of an answer; those of limpet are far smaller. */
const MOST_BYTES = 64 * 1024 * 1024

export type Query = Readonly<Record<string, string | undefined>>

/** Answers are as `shape` says: `CommandError` where they are not. */
export interface AdminClient {
  get(path: string, shape: Shape, query?: Query): Promise<unknown>
  post(path: string, shape: Shape, body?: unknown): Promise<unknown>
  delete(path: string, shape: Shape, query: Query): Promise<unknown>
}

/** Limpet answered, and refused what was asked. */
export class RefusedByLimpet extends CommandError {
  readonly errcode: string
  /** Without the code. */
  readonly why: string

  constructor(errcode: string, why: string, hint = '') {
    super(`${why} (${errcode})${hint}`)
    this.errcode = errcode
    this.why = why
  }
}

export interface ClientOptions {
  config?: string | undefined
  url?: string | undefined
  token?: string | undefined
}

/** The client that options and configuration lead to. Asks nothing yet. */
export function openAdminClient(options: ClientOptions, { env, cwd, secrets }: Io): AdminClient {
  const { file, url, urlFrom, token } = whereOf(options, env)
  if (url !== undefined) secrets?.addUrl(url)
  if (token !== undefined) secrets?.add(token)
  // With both given there need not be a configuration here at all.
  const config = url === undefined || token === undefined ? loadConfig({ file, env, cwd, secrets }) : null
  const target = url === undefined ? targetOf(config) : targetOfUrl(url, urlFrom)
  const bearer = token ?? config?.tokens.admin[0]?.token
  if (bearer === undefined) {
    throw new CommandError(
      'there is no admin token yet: start `limpet run`, which makes one, or give --token',
    )
  }
  const ask = (method: string, path: string, shape: Shape, body?: unknown) =>
    exchange(target, { method, path, shape, bearer, body: body === undefined ? null : JSON.stringify(body) })
  let isSure = target.listener !== null
  const change = async (method: string, path: string, shape: Shape, body?: unknown) => {
    // Many programs answer a POST by `{}`.
    if (!isSure) await ask('GET', '/v1/status', SHAPES.status)
    isSure = true
    return ask(method, path, shape, body)
  }
  return {
    get: (path, shape, query = {}) => ask('GET', withQuery(path, query), shape),
    post: (path, shape, body) => change('POST', path, shape, body),
    delete: (path, shape, query) => change('DELETE', withQuery(path, query), shape),
  }
}

/** An option comes before its variable; and who names a configuration means the daemon of that one. */
function whereOf({ config, url, token }: ClientOptions, env: Io['env']) {
  const given = (name: string) => (config !== undefined || env[name] === '' ? undefined : env[name])
  return {
    file: config ?? configFileOf(env),
    url: url ?? given('LIMPET_URL'),
    urlFrom: url === undefined ? 'LIMPET_URL' : '--url',
    token: token ?? given('LIMPET_TOKEN'),
  }
}

function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))
  const text = new URLSearchParams(given as [string, string][]).toString()
  return text === '' ? path : `${path}?${text}`
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

function targetOfUrl(text: string, from: string): ApiTarget {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new UsageError(`${from} must be an http:// or https:// URL, not ${text}`)
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
  shape: Shape
  bearer: string
  /** JSON; null: none. */
  body: string | null
}

async function exchange(target: ApiTarget, ask: Ask): Promise<unknown> {
  const { shown } = target
  const { status, text } = await answerOf(target, ask).catch((error: unknown) => {
    if (error instanceof CommandError) throw error
    const other = otherProtocol(error)
    if (other !== null)
      throw new CommandError(`what answers at ${shown} is not limpet (${other})`, { cause: error })
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
  if (status === 200) {
    const wrong = wrongIn(body, ask.shape)
    if (wrong === null) return body
    throw new CommandError(
      `what answers at ${shown} is not limpet, or another release of it (its answer has no proper "${wrong}")`,
    )
  }
  const { errcode, error } = body
  if (typeof errcode !== 'string')
    throw new CommandError(`what answers at ${shown} is not limpet (status ${status}, no Matrix error)`)
  const why = typeof error === 'string' ? error : `status ${status}`
  throw new RefusedByLimpet(errcode, why, hintOf(errcode, shown))
}

/** What to look at where a code alone does not say it. */
function hintOf(errcode: string, shown: string): string {
  if (errcode === 'M_UNRECOGNIZED')
    return `: what answers at ${shown} is not limpet, or an older release of it`
  if (errcode === 'M_UNKNOWN_TOKEN')
    return `: the limpet at ${shown} has other tokens; is it one with another configuration (--config)?`
  return ''
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
          ...(body === null
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
        ...(socket === null ? { agent: false } : { createConnection: () => socket }),
      },
      (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > MOST_BYTES) response.destroy(new TooLong())
          else chunks.push(chunk)
        })
        response.on('error', reject)
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') })
        })
      },
    )
    request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)))
    request.on('error', reject)
    request.end(body ?? undefined)
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

class TooLong extends Error {}

/** What answers speaks something else; null: that is not why it failed. */
function otherProtocol(error: unknown): string | null {
  if (error instanceof TooLong) return `its answer is longer than ${MOST_BYTES / 1024 ** 2} MiB`
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (code.startsWith('HPE_')) return 'it does not speak HTTP'
  return code === 'EPROTO' || code.startsWith('ERR_SSL_') ? 'it does not speak TLS' : null
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
