/** One request to one destination, whose connection comes first: how far that got is the result too. */
import type { Reach, Remotes, SendRequest, SendResult } from '../../src/wire/send-result.ts'

/** A request whose body is given as text. */
export type TextRequest = Omit<SendRequest, 'body'> & { body: string }

export const connectAndSend =
  ({ connect }: Pick<Remotes, 'connect'>) =>
  async ({ body, ...request }: Reach & TextRequest): Promise<SendResult> => {
    const ready = await connect(request)
    return ready.kind === 'ready' ? ready.send({ ...request, body: Buffer.from(body) }) : ready
  }
