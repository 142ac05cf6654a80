import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { expect } from 'chai'
import { HERE } from '../../support/built.ts'
import { limpet } from '../cli-stage.ts'
import { drawMoment } from './demo-moment.ts'
import { DEMO_PICTURE, demoPicture } from './demo-picture.ts'
import { terminalSvg } from './terminal-picture.ts'

describe('the picture of the demo', () => {
  it('is what the demo draws', async () => {
    const kept = readFileSync(join(HERE, DEMO_PICTURE), 'utf8')
    expect(kept, 'npx tsx test/cli/simulate/write-demo-picture.ts').to.equal(await demoPicture())
  })

  it('shows whole names and numbers in 80 columns', async () => {
    const shown = (await drawMoment()).split('\u001b[J').at(-1) ?? ''
    const lines = stripVTControlCharacters(shown).trimEnd().split('\n')
    for (const line of lines) expect(line.length, line).to.be.at.most(80)
    const rows = lines.slice(1)
    expect(rows.find((line) => line.startsWith('s0.delegated.test '))).to.match(
      / backing_off +\d+ +\d+ .*was away$/,
    )
    expect(rows.find((line) => line.endsWith(' dead'))).to.match(/^127\.0\.0\.1:\d{5} +backing_off +\d+ +0 /)
    expect(rows.at(-2)).to.match(/^… and \d+ more$/)
    expect(rows.at(-1)).to.match(/^1,8\d\d of 3,000 events sent to limpet, [\d,]+ owed, [\d,]+ received$/)
  })

  it('is of the demo as it is without options', async () => {
    const { out } = await limpet(['simulate', '--help'], { cwd: '/' })
    for (const [option, usual] of Object.entries({ servers: 40, rooms: 60, events: 3000, seed: 1 }))
      expect(out).to.match(new RegExp(`--${option} <n> .*default: "${usual}"`))
  })

  it('needs nothing from elsewhere, and says what is on the screen in the end', () => {
    const svg = terminalSvg('old <\n\u001b[1A\u001b[Ja \u001b[31mb&\u001b[0m\n', {
      title: 't',
      about: '"a"',
      columns: 9,
    })
    expect(svg).not.to.include('old')
    expect(svg).to.match(
      /<text x="18" y="48" textLength="8.4">a<\/text>\n<text x="34.8" y="48" textLength="16.8" fill="#ff7b72">b&amp;<\/text>/,
    )
    expect(svg).not.to.match(/script|href|url\(|@import|style=/)
  })
})
