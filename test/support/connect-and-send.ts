/** One request to one destination, whose connection comes first: how far that got is the result too. */
import type { Reach, Remotes, SendRequest, SendResult } from '../../src/wire/send-result.ts'

export const connectAndSend =
  ({ connect }: Pick<Remotes, 'connect'>) =>
  async (request: Reach & SendRequest): Promise<SendResult> => {
    const ready = await connect(request)
    return ready.kind === 'ready' ? ready.send(request) : ready
  }
