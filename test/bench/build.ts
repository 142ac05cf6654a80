/** Builds what users run, and the benchmark's own processes beside it: see `../support/built.ts`. */
import { build, HERE } from '../support/built.ts'

/** What the programs of the benchmark import. */
const FOLDERS = ['src', 'queues', 'test/bench', 'test/support']

/** Returns where a source file of the checkout went: `built('src/main.ts')`. */
export const buildCheckout = (root = HERE) => build(root, FOLDERS)
