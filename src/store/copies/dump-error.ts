/**
 * The error for a dump that is damaged, or a database that a dump can't be put into. Its message is one line for an
 * operator. (A dump of another schema is a `SchemaError`.) In a file of its own, so that code that only reports it loads
 * no database driver.
 */
export class DumpError extends Error {
  override readonly name = 'DumpError'
}

/** @throws DumpError */
export function damaged(why: string, cause?: unknown): never {
  throw new DumpError(`the dump is damaged: ${why}`, { cause })
}
