/** The database's schema is not the one that this release works with. By itself, so that who only tells of it loads no driver. */
export class SchemaError extends Error {
  readonly code = 'SCHEMA'
}
