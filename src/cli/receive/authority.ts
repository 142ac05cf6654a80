/**
 * The certificate authority of `limpet receive`, kept in a folder so that `limpet run` need be told of it only once.
 *
 * Promise: `authority.pem` (certificate and private key, 0600) and `ca.pem` (the certificate, which `run` is to trust) are
 * of the same authority, in a folder of 0700. It is made where there is none, and anew where it can't be used any more or
 * ends within a year. Certificates of servers are made at each start and end with it, so no process outlives its own.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { authorityOf, makeCertificateAuthority } from '../../simulate/fleet/certs.ts'
import type { CertificateAuthority, KeyPair } from '../../simulate/fleet/certs.ts'

export interface KeptAuthority {
  readonly authority: CertificateAuthority
  /** `ca.pem`. */
  readonly caPath: string
  /** Why one that was there was replaced, in words; null: it was not. Processes that trust the old one must be told. */
  readonly replaced: string | null
}

const DAY_MS = 86_400_000
const YEAR_DAYS = 365
const DAYS = 10 * YEAR_DAYS
const NAME = 'limpet receive'

/**
 * `folder` is made where it is missing; `now` is in ms since the epoch; `suffix` makes the names of unfinished files
 * unique. Throws what the file system says.
 */
export async function openAuthority(
  folder: string,
  { now, suffix }: { now: number; suffix: string },
): Promise<KeptAuthority> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700)
  const file = join(folder, 'authority.pem')
  const caPath = join(folder, 'ca.pem')
  let kept = readKept(file, now)
  const replaced = typeof kept === 'string' ? kept : null
  if (kept === null || typeof kept === 'string') {
    const made = await makeCertificateAuthority(now, { name: NAME, days: DAYS })
    const next = `${file}.${suffix}`
    writeFileSync(next, `${made.cert.trim()}\n${made.key.trim()}\n`, { mode: 0o600, flag: 'wx' })
    put(next, file, replaced !== null)
    kept = readKept(file, now)
  }
  if (kept === null || typeof kept === 'string')
    throw new Error(`${file} can't be used: ${kept ?? 'it has gone'}`)
  if (readOr(caPath) !== kept.cert) {
    writeFileSync(`${caPath}.${suffix}`, kept.cert, { mode: 0o600, flag: 'wx' })
    renameSync(`${caPath}.${suffix}`, caPath)
  }
  const ends = Date.parse(new X509Certificate(kept.cert).validTo)
  return { authority: authorityOf(kept, now, Math.floor((ends - now) / DAY_MS)), caPath, replaced }
}

/** Puts an unfinished file into its place; where another process was quicker, that one's stays. */
function put(next: string, file: string, replaces: boolean): void {
  try {
    if (replaces) renameSync(next, file)
    // Unlike a rename, it does not replace.
    else linkSync(next, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(next, { force: true })
  }
}

/** What `file` holds; null: there is none; in words: why it can't be used any more. */
function readKept(file: string, now: number): KeyPair | string | null {
  const text = readOr(file)
  if (text === null) return null
  const cert = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\n/.exec(text)?.[0]
  const key = /-----BEGIN (\w+ )?PRIVATE KEY-----[\s\S]+?-----END (\w+ )?PRIVATE KEY-----\n/.exec(text)?.[0]
  if (cert === undefined || key === undefined) return 'the old one was damaged'
  try {
    const certificate = new X509Certificate(cert)
    if (!certificate.ca || !certificate.checkPrivateKey(createPrivateKey(key)))
      return 'the old one was damaged'
    const left = Date.parse(certificate.validTo) - now
    return left < YEAR_DAYS * DAY_MS ? 'the old one had less than a year to live' : { cert, key }
  } catch {
    return 'the old one was damaged'
  }
}

function readOr(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
