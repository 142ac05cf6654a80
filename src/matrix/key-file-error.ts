/** The error for a key file that we cannot sign with; its message says which line is wrong and why. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError'
}
