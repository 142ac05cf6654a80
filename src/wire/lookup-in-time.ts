/** The addresses of a name, or an error after some time: the system's resolver has no limit worth the name. */
import { timerMs } from '../pace/clock.ts'

export async function lookupInTime(
  lookup: (host: string) => Promise<readonly { readonly address: string }[]>,
  host: string,
  ms: number,
): Promise<string[]> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    const error = Object.assign(new Error('the name was not looked up in time'), { code: 'EDNSTIMEOUT' })
    timer = setTimeout(() => reject(error), timerMs(ms))
  })
  const found = await Promise.race([lookup(host), late]).finally(() => clearTimeout(timer))
  return found.map(({ address }) => address)
}
