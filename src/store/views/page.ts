/** One page of a list: the first row, how many rows, the stored field that sorts them, and the direction. */
export interface Page<OrderBy extends string> {
  /** Rows to leave out first. */
  from: number
  limit: number
  orderBy: OrderBy
  dir: 'f' | 'b'
}

export interface Paged<Row> {
  rows: Row[]
  /** Of the whole list. */
  total: number
}
