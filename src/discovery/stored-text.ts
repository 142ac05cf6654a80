/**
 * Answers as the text of a shared row, and back.
 *
 * Another release may have written a row, so what is read is checked like what a server sends: null where it is not an
 * answer, and the process looks up by itself.
 */
import { parseServerName } from '../matrix/ids.ts'
import type { LookedUp, ServiceRecord } from './lookups.ts'
import type { WellKnown } from './read-well-known.ts'

export function encodeWellKnown(answer: WellKnown): string {
  return JSON.stringify(answer)
}

export function decodeWellKnown(text: string): WellKnown | null {
  const value = objectOf(text)
  if (value === null) return null
  const { kind, to, status, lifeMs, arrived, why, from } = value
  if (kind === 'failed') {
    return typeof arrived === 'boolean' && typeof why === 'string' ? { kind, arrived, why } : null
  }
  if (!isTime(lifeMs) || (from !== undefined && typeof from !== 'string')) return null
  const after = from === undefined ? {} : { from }
  if (kind === 'absent') return typeof status === 'number' ? { kind, status, lifeMs, ...after } : null
  const name = kind === 'delegated' && typeof to === 'string' ? parseServerName(to) : null
  return name === null ? null : { kind: 'delegated', to: name, lifeMs, ...after }
}

export function encodeServices(answer: LookedUp<ServiceRecord>): string {
  return JSON.stringify(answer)
}

export function decodeServices(text: string): LookedUp<ServiceRecord> | null {
  const value = objectOf(text)
  if (value === null) return null
  const { kind, records, ttlMs, why, cname } = value
  if (kind === 'failed') return typeof why === 'string' ? { kind, why } : null
  if (!isTime(ttlMs)) return null
  if (kind === 'none') return { kind, ttlMs }
  if (kind !== 'found' || !Array.isArray(records) || records.length === 0) return null
  if (cname !== undefined && typeof cname !== 'string') return null
  return records.every(isServiceRecord)
    ? { kind, records, ttlMs, ...(cname === undefined ? {} : { cname }) }
    : null
}

function isServiceRecord(value: unknown): value is ServiceRecord {
  if (typeof value !== 'object' || value === null) return false
  const { priority, weight, port, target } = value as Record<string, unknown>
  return [priority, weight, port].every(isUint16) && typeof target === 'string'
}

const isUint16 = (value: unknown) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65535

const isTime = (value: unknown): value is number => Number.isFinite(value) && Number(value) >= 0

function objectOf(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}
