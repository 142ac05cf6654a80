/** The text is no key file that we can sign with; the message says which line and why. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError'
}
