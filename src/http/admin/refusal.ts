/** How an admin request is refused: a Matrix error (`{errcode, error}`) and its HTTP status. */
export class AdminRefusal extends Error {
  readonly status: number
  readonly errcode: string

  constructor(status: number, errcode: string, message: string) {
    super(message)
    this.status = status
    this.errcode = errcode
  }
}

/** An unknown server or event. */
export const notFound = (message: string) => new AdminRefusal(404, 'M_NOT_FOUND', message)
/** A value that a parameter cannot have. */
export const badParam = (message: string) => new AdminRefusal(400, 'M_INVALID_PARAM', message)
