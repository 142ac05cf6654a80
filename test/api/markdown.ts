/** Tables and pages as `prettier` leaves them. */
import { format } from 'prettier'

export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return [line(heads), `|${' --- |'.repeat(heads.length)}`, ...rows.map(line), ''].join('\n')
}

export const asPage = (parts: readonly string[]): Promise<string> =>
  format(parts.join('\n'), { parser: 'markdown', printWidth: 110 })

export const WRITTEN_BY = 'This page is written by `npx tsx test/api/write-pages.ts`.'
