/**
 * `limpet wake|pause|resume|reset NAME`: what each does, and what it says when it is done; `noted`: when it is done to a destination that is
 * blocked, to which nothing is sent. A wake of such a one is refused.
 */
export const ACTIONS = [
  {
    name: 'wake',
    description: 'try a destination now; its backoff stays if that fails',
    done: 'is tried now',
    noted: '',
  },
  {
    name: 'reset',
    description: "forget a destination's failures, 429 and 410 included, and try it now",
    done: 'is tried now; its failures are forgotten',
    noted: 'has its failures forgotten',
  },
  {
    name: 'pause',
    description: 'stop sending to a destination; what is owed is kept',
    done: 'is paused',
    noted: 'is paused',
  },
  {
    name: 'resume',
    description: 'send to a paused destination again',
    done: 'is resumed',
    noted: 'is resumed',
  },
] as const
