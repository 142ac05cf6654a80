/** Asks a daemon again and again whether it is ready, and keeps what it said and when. */

export interface Answer {
  /** By `performance.now()`. */
  askedAt: number
  status: number
  why: string
}

export interface Readiness {
  /** What was said to questions asked after `at`. */
  since(at: number): Answer[]
  said(status: number, at: number): Answer[]
  stop(): Promise<void>
}

const EVERY_MS = 50

export function askWhetherReady(address: string): Readiness {
  const answers: Answer[] = []
  const stopping = new AbortController()

  const asking = (async () => {
    while (!stopping.signal.aborted) {
      const askedAt = performance.now()
      try {
        const answer = await fetch(`${address}/health/ready`, { signal: AbortSignal.timeout(10_000) })
        answers.push({ askedAt, status: answer.status, why: await answer.text() })
      } catch (error) {
        answers.push({ askedAt, status: 0, why: String(error) })
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
    }
  })()

  const since = (at: number) => answers.filter(({ askedAt }) => askedAt > at)
  return {
    since,
    said: (wanted, at) => since(at).filter(({ status }) => status === wanted),
    stop: async () => {
      stopping.abort()
      await asking
    },
  }
}
