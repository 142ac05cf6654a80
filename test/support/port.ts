/**
 * A port for something that is started later, or that must stay free while nothing listens. Below those that systems give to
 * outgoing connections and to `listen(0)`: between the choice and the use nobody else takes it by chance.
 */
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

const FIRST = 12_000
const AFTER_LAST = 32_000

export async function quietPort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, AFTER_LAST)
    const probe = createServer()
    const answer = Promise.race([
      once(probe, 'listening').then(() => true),
      once(probe, 'error').then(() => false),
    ])
    probe.listen(port, '127.0.0.1')
    if (!(await answer.catch(() => false))) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
}
