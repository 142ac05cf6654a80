/** The options of `limpet run`, as text from the command line. */
import type { Listener } from '../config/config.ts'
import type { Role } from '../daemon/daemon.ts'
import { UsageError } from './cli-error.ts'

export const ROLES: readonly Role[] = ['ingest', 'deliver', 'housekeep']

/** `ingest,housekeep`; undefined: all. */
export function parseRoles(text: string | undefined): readonly Role[] {
  if (text === undefined) return ROLES
  const names = new Set(text.split(',').map((name) => name.trim()))
  const unknown = [...names].find((name) => !ROLES.some((role) => role === name))
  if (unknown !== undefined)
    throw new UsageError(`--role: ${JSON.stringify(unknown)} is not one of ${ROLES.join(', ')}`)
  return ROLES.filter((role) => names.has(role))
}

/** `HOST:PORT`, `[IPV6]:PORT`, a socket's path with a `/` in it, or `none`. It serves all that the roles allow. */
export function parseListen(text: string): readonly Listener[] {
  if (text === 'none') return []
  const serve = ['ingest', 'admin', 'metrics'] as const
  if (text.includes('/')) return [{ socket: text.replace(/^unix:/, ''), mode: 0o660, serve }]
  const [, v6, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text) ?? []
  const host = v6 ?? name
  if (host === undefined || Number(digits) > 65535)
    throw new UsageError(`--listen: ${JSON.stringify(text)} is not HOST:PORT, the path of a socket, or none`)
  return [{ host, port: Number(digits), serve }]
}
