/** One page of a list: from which row on, how many, by which stored field, forwards or backwards. */
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
