/** A remote server that is always there, over a connection that is open already. */
import type { Remotes, SendRequest, SendResult } from '../../src/wire/send-result.ts'

export type Answers = (request: SendRequest) => Promise<SendResult>

export const reachable = (send: Answers): Remotes => ({
  isConnected: () => true,
  takeIdle: () => null,
  connect: () =>
    Promise.resolve({ kind: 'ready', wasIdle: true, connectMs: 0, send, giveBack: () => undefined }),
})
