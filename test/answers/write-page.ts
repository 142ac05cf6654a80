/** Writes `docs/answers.md`. */
import { writeFileSync } from 'node:fs'
import { answersPage } from './page.ts'

writeFileSync(process.argv[2] ?? 'docs/answers.md', await answersPage())
