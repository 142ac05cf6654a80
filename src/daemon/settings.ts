/**
 * What is the daemon told: the configuration, and what stands in the files that it names? Read at the start, and again at SIGHUP.
 *
 * All of it is read and checked before any of it is used. A file that is wrong is an error with its key.
 */
import { withTokens, type Config } from '../config/config.ts'
import { ConfigError } from '../config/error.ts'
import { complainOfOpenFile } from '../config/exposed.ts'
import { loadSigningKey, readAuthorities, refuseOpenTlsKeys } from '../config/files.ts'
import { selfTest, type SigningKey } from '../matrix/signing.ts'
import type { Log } from '../observe/log.ts'
import { withinDescriptors, type Fitting } from './within-descriptors.ts'

export interface DaemonSettings extends Fitting {
  /** What was configured; `config` is what of it this process' limits allow. */
  readonly said: Config
  readonly key: SigningKey
  /** PEM texts. */
  readonly authorities: readonly string[]
}

export interface SettingsNeeds {
  /** Whether this process serves the API. */
  serves: boolean
  /** Whether it sends. */
  sends: boolean
  log: Log
  randomBytes: (size: number) => Uint8Array
}

/** @throws ConfigError */
export function readSettings(
  config: Config,
  { serves, sends, log, randomBytes }: SettingsNeeds,
): DaemonSettings {
  const exposed = complainOfOpenFile(config.file)
  if (exposed !== null) log.warn(exposed)
  refuseOpenTlsKeys(config)
  const key = loadSigningKey(config.signing_key_path)
  if (!selfTest(key))
    throw new ConfigError(
      'signing_key_path',
      `a signature made with the key ${config.signing_key_path} does not verify`,
    )
  const authorities = readAuthorities(config)
  // Last: it may write. Only a process that serves the API needs tokens; another must not generate any.
  const said = serves ? withTokens(config, randomBytes) : config
  return { said, key, authorities, ...withinDescriptors(said, { sends, log }) }
}
