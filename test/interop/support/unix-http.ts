/**
 * HTTP over a Unix socket: so the homeservers' inner doors and limpet's API need no ports, which others on a busy machine
 * may take between two starts.
 */
import { Pool } from 'undici'

export interface UnixHttp {
  /** One request; resolves to whatever answer there is. @throws where nobody answers */
  ask(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    options?: { readonly token?: string | undefined; readonly body?: Record<string, unknown> | undefined },
  ): Promise<{ readonly status: number; readonly text: string }>
  close(): Promise<void>
}

export function overSocket(socketPath: string): UnixHttp {
  const pool = new Pool('http://localhost', { socketPath, connections: 20, headersTimeout: 120_000 })
  return {
    async ask(method, path, { token, body } = {}) {
      const answer = await pool.request({
        method,
        path,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: answer.statusCode, text: await answer.body.text() }
    },
    close: () => pool.destroy(),
  }
}
