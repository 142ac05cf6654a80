/**
 * How many file descriptors may each part of this process use?
 *
 * Promise: connections to us and connections to other servers have separate shares. Together with everything else that
 * the process opens they stay below its limit, so neither can take what the other needs.
 */
import { readFileSync } from 'node:fs'

/** Pools to the database, the queue's and a source's, the log, what Node opens for itself, and some to spare. */
const OUR_OWN = 96
/** Of the rest, where the process also sends: one part in four is for connections that come to us. */
const DOOR_PART = 4
/** Of what is left for other servers: one part in five is for DNS, and of the rest as much for server discovery. */
const LOOKUP_PART = 5
const DISCOVERY_PART = 5
const LEAST = 8

/** Questions to DNS at once, where there are descriptors enough. */
export const LOOKUPS = 640
/** Destinations that are looked for at once, likewise. */
export const DISCOVERIES = 1_024

export interface Shares {
  /** Connections to our listeners. */
  readonly door: number
  /** Requests to other servers under way. */
  readonly concurrency: number
  /** Connections to other servers that are kept idle. */
  readonly idle: number
  /** Questions to DNS under way: each is a socket. */
  readonly lookups: number
  /** Destinations that are being looked for: each may have a connection for `.well-known`. */
  readonly discoveries: number
}

/** What may be had of what is wished; `limit` null: it is not known, and there is no need to share. */
export function shareDescriptors(
  limit: number | null,
  wished: Shares,
  { sends }: { sends: boolean },
): Shares {
  if (limit === null) return wished
  const all = Math.max(limit - OUR_OWN, 4 * LEAST)
  const door = Math.min(wished.door, sends ? Math.max(LEAST, Math.floor(all / DOOR_PART)) : all)
  const lookups = Math.min(wished.lookups, Math.max(LEAST, Math.floor((all - door) / LOOKUP_PART)))
  const discoveries = Math.min(
    wished.discoveries,
    Math.max(LEAST, Math.floor((all - door - lookups) / DISCOVERY_PART)),
  )
  const out = all - door - lookups - discoveries
  // A connection is worth more in use than idle.
  const concurrency = Math.min(wished.concurrency, Math.max(LEAST, Math.floor((out * 3) / 4)))
  return {
    door,
    lookups,
    discoveries,
    concurrency,
    idle: Math.min(wished.idle, Math.max(0, out - concurrency)),
  }
}

/** The limit of this process; null where it has none or it cannot be told. Node has raised it as far as it may by now. */
export function descriptorLimit(): number | null {
  const text = limitText()
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null
}

function limitText(): string | undefined {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    return /^Max open files +(\S+)/m.exec(limits)?.[1]
  } catch {
    // Not Linux.
    const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
    return String(report.userLimits?.open_files?.soft)
  }
}
