/**
 * The error for a schema that this release does not work with. In a file of its own, so that code that only reports it
 * loads no database driver.
 */
export class SchemaError extends Error {
  readonly code = 'SCHEMA'
}
