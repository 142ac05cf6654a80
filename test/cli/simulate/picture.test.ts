import { expect } from 'chai'
import { makeLive } from '../../../src/cli/simulate/live.ts'
import { picture, type Shown } from '../../../src/cli/simulate/picture.ts'
import { guarded } from '../../../src/cli/io.ts'
import { plainScreen } from '../../../src/cli/screen.ts'
import { makeSecrets } from '../../../src/observe/secrets.ts'
import { planStory } from '../../../src/simulate/story/plan.ts'

const SERVERS = 40
const FIFTY = Array.from({ length: 50 }, () => '$event')
const CLAIMS = Array.from({ length: 45_678 }, () => null)
const plan = planStory({ servers: SERVERS, rooms: 60, events: 50_000, seed: 1 })
const shown = {
  plan,
  fleet: {
    servers: Array.from({ length: SERVERS }, (_, nth) => ({
      ...{ serverName: `s${nth}.delegated.test`, received: { size: 40_000 + nth } },
      transactions: Array.from({ length: 1_234 }, () => ({ answered: false, pduIds: FIFTY })),
    })),
  },
  traffic: { events: 50_000, claims: { of: () => CLAIMS, staysOf: () => [] } },
} as unknown as Shown
const states = new Map(shown.fleet.servers.map(({ serverName }) => [serverName, 'catching_up']))

describe("the demo's picture", () => {
  for (const columns of [80, 100, 160]) {
    it(`shows whole names and numbers at ${columns} columns`, () => {
      const lines = picture(shown, states, { ...plainScreen(columns), height: 60 })
      for (const line of lines) expect(line.length, line).to.be.at.most(columns)
      for (const [nth, line] of lines.slice(1, SERVERS + 1).entries())
        expect(line).to.match(new RegExp(`^s${nth}\\.delegated\\.test +catching_up +45,678 +40,0\\d\\d( |$)`))
      expect(lines.slice(0, SERVERS + 1).join('\n')).not.to.include('…')
    })
  }

  it('is as wide as the window, which the output knows behind what hides secrets', () => {
    let drawn = ''
    const write = (text: string) => (drawn += text)
    const window = { isTTY: true, columns: 80, rows: 30, write }
    const { stderr } = guarded({ stdout: { write }, stderr: window, env: {}, cwd: '/' }, makeSecrets())
    const live = makeLive(stderr, { NO_COLOR: '1' }, () => 0)
    live.watch({ ...shown, get: () => Promise.resolve({ destinations: [] }) })
    live.end()
    const lines = drawn.split('\n')
    expect(lines.length).to.be.within(20, 30)
    for (const line of lines) expect(line.length, line).to.be.at.most(80)
  })
})
