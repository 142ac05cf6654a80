/** The picture of the demo for readers, as SVG. */
import { drawMoment } from './demo-moment.ts'
import { terminalSvg } from './terminal-picture.ts'

export const DEMO_PICTURE = 'docs/demo.svg'

export async function demoPicture(): Promise<string> {
  const about =
    'The demo in a terminal: what each of 40 servers is owed and has received, while one is away and one is dead'
  return terminalSvg(await drawMoment(), { title: 'npm run demo', about, columns: 80 })
}
