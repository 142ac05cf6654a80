/**
 * Recognises a key file in PEM format, which is not ours (Synapse's), and says how to convert it: a command of one
 * line that works as it stands, with the file's own name. The message never contains any part of the key.
 */
import { createPrivateKey } from 'node:crypto'

const BEGIN = /^-----BEGIN ([A-Z0-9 ]+)-----/m
const DENDRITE = 'MATRIX PRIVATE KEY'
const PKCS8 = new Set(['PRIVATE KEY', 'ENCRYPTED PRIVATE KEY'])

/** Null: not a PEM file. `file`: where it lies, for the command. */
export function explainPem(text: string, file: string): string | null {
  const label = BEGIN.exec(text)?.[1]
  if (label === undefined) return null
  const shown = quote(file)
  if (label === DENDRITE) {
    const awk = `{sub("\\r$","")} /^Key-ID:/{v=$0;sub(/.*ed25519:/,"",v)} /^[A-Za-z0-9+\\/]+=*$/{print "ed25519",v,$0}`
    return `this is Dendrite's format (PEM); convert it with: (umask 077; awk '${awk}' ${shown} > signing.key)`
  }
  const type = PKCS8.has(label) ? typeOf(text) : null
  if (type !== null && type !== 'ed25519')
    return `this is a PEM file with a key of type ${type}, and only ed25519 keys sign for a homeserver`
  if (type === null && label !== 'ENCRYPTED PRIVATE KEY')
    return `this is a PEM file (${label}) that holds no ed25519 key; limpet wants a line: ed25519 VERSION BASE64SEED`
  const openssl = `openssl pkey -in ${shown} -outform DER | tail -c 32 | base64`
  return (
    `this is a PEM file (${label}), PKCS#8; put what follows ed25519: in the published key id in place of VERSION and ` +
    `convert it with: (umask 077; echo "ed25519 VERSION $(${openssl})" > signing.key)`
  )
}

/** Null: damaged, or no key that Node.js can read without a passphrase. */
function typeOf(text: string): string | null {
  try {
    return createPrivateKey(text).asymmetricKeyType ?? null
  } catch {
    return null
  }
}

/** For a shell. */
const quote = (path: string): string =>
  /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`
