/** One row of `docs/scenarios.md`: a scenario or a duty of the specification, and the tests that show it. */
export interface Row {
  /** 1 to 48: a scenario. A letter and a number: a duty of the specification. */
  readonly id: string
  readonly given: string
  /** What must then be seen. */
  readonly seen: string
  /** Code of these tests that looks for it: a test that no longer does turns the row red. */
  readonly asserts?: readonly string[]
  readonly by: readonly Shown[]
  /** What of it no test shows. */
  readonly missing?: Missing
}

export interface Missing {
  readonly when: 'not yet' | 'not planned'
  readonly why: string
  /** The contract's section, or section and point: `5.4`. */
  readonly contract: string
  /** What stands there for as long as this is so. */
  readonly says: string
}

/** A test, by its file and by what stands in its `it` or `describe`: for a template its text as written. */
export interface Shown {
  readonly file: string
  readonly title: string
}

/** Tests of one file. */
export const by = (file: string, ...titles: string[]): Shown[] =>
  titles.map((title) => ({ file: `test/${file}.test.ts`, title }))

/** A whole daemon's EDUs. */
export const ofEdus = (...titles: string[]): Shown[] => by('e2e/edus', ...titles)
