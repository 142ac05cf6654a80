/** Errors of a request to take items: which item or field is wrong, where in it, and why. */
import type { JsonError } from '../matrix/json-value.ts'

/** An item that can't be taken, and with it its whole request: which one, where in it, why. */
export class ItemError extends Error {
  override readonly name = 'ItemError'
  /** Of the item in `items`, or of its line (from 0). */
  readonly index: number
  /** Dotted, within the item; '' is the item itself. */
  readonly path: string
  readonly errcode: 'M_INVALID_PARAM' | 'M_BAD_JSON' | 'M_TOO_LARGE'

  constructor(index: number, path: string, why: string, errcode: ItemError['errcode'] = 'M_INVALID_PARAM') {
    super(path === '' ? why : `${path}: ${why}`)
    this.index = index
    this.path = path
    this.errcode = errcode
  }
}

/** A request that can't be read at all, or not as a request to take items. */
export class BodyError extends Error {
  override readonly name = 'BodyError'
  /** Of the request's own fields; '' where there is none. */
  readonly path: string
  readonly errcode: ItemError['errcode']

  constructor(path: string, why: string, errcode: ItemError['errcode'] = 'M_INVALID_PARAM') {
    super(path === '' ? why : `${path}: ${why}`)
    this.path = path
    this.errcode = errcode
  }
}

/** What is wrong with some JSON, without where: the code that shows the error adds the path. */
export function whyOf(error: JsonError): string {
  return error.message.replace(` at ${error.path}`, '')
}
