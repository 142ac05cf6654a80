/**
 * Loads our TypeScript for the tests. tsx does so too, and wraps every function that is made, to keep its name through changes
 * that nobody makes here: for tests that compute that is a seventh of their time. So what is imported has only its types taken away
 * (`without-types.js`), and tsx is left with what mocha requires.
 */
import { register } from 'node:module'
import 'tsx'

// The one that registers last is asked first.
register('./without-types.js', import.meta.url)
