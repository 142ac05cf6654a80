/**
 * A process of the benchmark's own beside it, asked and answered in messages, so that receivers and senders
 * don't share an event loop. Times are of the machine's monotonic clock, which all of its processes share.
 */
import { fork } from 'node:child_process'
import { leaveBehind } from '../support/leftovers.ts'

interface Question {
  id: number
  verb: string
  given: unknown
}

interface Answer {
  id: number
  answer?: unknown
  error?: string
}

export interface Child {
  pid: number
  ask<T>(verb: string, given?: unknown): Promise<T>
  stop(): Promise<void>
}

/** Nanoseconds of the machine's monotonic clock, as ms. */
export const machineMs = () => Number(process.hrtime.bigint()) / 1e6

/** Starts `file`, a script that calls `answerParent`. `execArgv`: for Node, where it is no JavaScript. */
export function startChild(file: string, execArgv: string[] = []): Child {
  const child = fork(file, { execArgv, serialization: 'advanced' })
  const waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>()
  let count = 0
  child.on('message', ({ id, answer, error }: Answer) => {
    if (error === undefined) waiting.get(id)?.resolve(answer)
    else waiting.get(id)?.reject(new Error(error))
    waiting.delete(id)
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  void ended.then(() => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} has ended`))
  })
  const stop = async () => {
    child.kill('SIGKILL')
    await ended
    forget()
  }
  const forget = leaveBehind({ clear: stop, kill: () => child.kill('SIGKILL') })
  return {
    pid: child.pid ?? 0,
    ask: <T>(verb: string, given?: unknown) =>
      new Promise<T>((resolve, reject) => {
        count += 1
        waiting.set(count, { resolve: (answer) => resolve(answer as T), reject })
        const question: Question = { id: count, verb, given }
        child.send(question, (error) => {
          if (error !== null) reject(error)
        })
      }),
    stop,
  }
}

/** In the child: answers what the parent asks, and ends with the parent. */
export function answerParent(verbs: Record<string, (given: never) => unknown>): void {
  process.on('disconnect', () => process.exit(0))
  process.on('message', ({ id, verb, given }: Question) => {
    const work = new Promise((resolve) => resolve(verbs[verb]?.(given as never)))
    work.then(
      (answer) => process.send?.({ id, answer } satisfies Answer),
      (error: unknown) => process.send?.({ id, error: String(error) } satisfies Answer),
    )
  })
}
