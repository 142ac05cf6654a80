/**
 * The other files that the configuration names, checked before anything is opened: the signing key, our own
 * certificate authorities, and the TLS keys that a database's URL names. An error is a `ConfigError` with the key and
 * the file.
 */
import { X509Certificate } from 'node:crypto'
import { statSync } from 'node:fs'
import type { Config } from './config.ts'
import { ConfigError } from './error.ts'
import { readSecretFile, readTextFile, refuseOpenToOthers } from './secrets.ts'
import { parseConnectionUrl } from './url.ts'
import { explainPem } from '../matrix/pem-key.ts'
import { KeyFileError, readSigningKey } from '../matrix/signing.ts'
import type { SigningKey } from '../matrix/signing.ts'

/** The key in `file`, which nobody but its owner and its group may read. */
export function loadSigningKey(file: string): SigningKey {
  const text = readSecretFile(file, 'signing_key_path')
  try {
    return readSigningKey(text)
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error
    const why = explainPem(text, file) ?? error.message
    throw new ConfigError('signing_key_path', `${file}: ${why}`, { cause: error })
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** The PEM texts that `federation.custom_ca_paths` names. A file that adds no authority is refused: nobody would notice. */
export function readAuthorities({ federation }: Pick<Config, 'federation'>): string[] {
  return federation.custom_ca_paths.map((file, index) => {
    const key = `federation.custom_ca_paths.${index}`
    const pem = readTextFile(file, key)
    const certificates = pem.match(CERTIFICATE)
    if (certificates === null) throw new ConfigError(key, `${file} contains no PEM certificate`)
    try {
      for (const certificate of certificates) new X509Certificate(certificate)
    } catch (error) {
      throw new ConfigError(key, `${file} contains a damaged certificate`, { cause: error })
    }
    return pem
  })
}

/** Refuses a client's key (`sslkey=` in a URL of PostgreSQL) that others may read. One that is not there, the driver refuses. */
export function refuseOpenTlsKeys({ database, sources }: Pick<Config, 'database' | 'sources'>): void {
  const urls: [string, string | undefined][] = [
    ['database', database.kind === 'url' ? database.url : undefined],
    ['sources.synapse.database', sources.synapse?.database],
  ]
  for (const [key, url] of urls) {
    const file = url === undefined ? null : parseConnectionUrl(url)?.searchParams.get('sslkey')
    const found = file ? statSync(file, { throwIfNoEntry: false }) : undefined
    if (file && found !== undefined) refuseOpenToOthers(file, found.mode, key)
  }
}
