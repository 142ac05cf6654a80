/** The calls for monitoring, and the reference itself. */
import { z } from 'zod'
import { empty } from './ingest-shapes.ts'
import type { Operation } from './operation.ts'

const watch = { method: 'GET', group: 'Watching', access: null } as const

export const WATCHING: readonly Operation[] = [
  {
    ...{ ...watch, path: '/health/live', name: 'live' },
    about: 'The process is alive: its event loop turns.',
    answer: { status: 200, json: empty },
  },
  {
    ...{ ...watch, path: '/health/ready', name: 'ready' },
    about: 'The process can work: its database and its queue take a write, and the schema fits.',
    answer: { status: 200, json: empty },
    refusals: [[503, 'M_LIMPET_UNAVAILABLE', 'It is not ready: `error` says why.']],
  },
  {
    ...{ ...watch, path: '/metrics', name: 'metrics', access: 'metrics' },
    about: 'For Prometheus (docs/metrics.md).',
    answer: { status: 200, text: 'text/plain' },
  },
  {
    ...{ ...watch, path: '/openapi.json', name: 'openapi' },
    about: 'This reference, for programs.',
    answer: { status: 200, json: z.record(z.string(), z.unknown()) },
  },
  {
    ...{ ...watch, path: '/docs', name: 'docs' },
    about: 'This reference, for people.',
    answer: { status: 200, text: 'text/html' },
  },
]
