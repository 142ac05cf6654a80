import { expect } from 'chai'
import { makeSecrets } from '../../src/observe/secrets.ts'
import { showDestinations } from '../../src/cli/admin/destinations.ts'
import type { DestinationAnswer } from '../../src/cli/admin/answers.ts'
import { guarded } from '../../src/cli/io.ts'
import { screenOf, writeTinted } from '../../src/cli/screen.ts'

const output = (more: object = {}) => ({ write: () => undefined, ...more })
const terminal = (columns: number) => output({ isTTY: true, columns, rows: 24 })

describe('a screen', () => {
  it('is as wide as COLUMNS says, else as the terminal, and at least 80 columns', () => {
    const widths = [
      [terminal(120), {}, 120],
      [terminal(120), { COLUMNS: '100' }, 100],
      [terminal(60), {}, 80],
      [terminal(0), {}, 80],
      [terminal(120), { COLUMNS: '20' }, 80],
      [terminal(120), { COLUMNS: 'wide' }, 120],
      [output(), {}, Infinity],
      [output(), { COLUMNS: '90' }, 90],
    ] as const
    for (const [to, env, width] of widths) expect(screenOf(to, env).width).to.equal(width)
  })

  it('is the same behind what hides secrets, also after the window has changed its size', () => {
    const window = { ...terminal(120) } as { columns: number; write: () => undefined }
    const { stdout } = guarded({ stdout: window, stderr: output(), env: {}, cwd: '/' }, makeSecrets())
    expect(screenOf(stdout, {}).width).to.equal(120)
    window.columns = 90
    expect(screenOf(stdout, {}).width).to.equal(90)
  })

  const row = {
    ...{ destination: 'd.example', state: 'backing_off', reason: '', position: 1, head: 1, pending_pdus: 1 },
    ...{
      pending_sticky: 0,
      oldest_pending_ms: null,
      failing_since: null,
      next_attempt: null,
      last_success: null,
    },
  } as unknown as DestinationAnswer
  const drawnOn = (to: object, env: Record<string, string>, secrets = makeSecrets()) => {
    let drawn = ''
    const write = (text: string) => (drawn += text)
    const { stdout } = guarded({ stdout: { ...output(to), write }, stderr: output(), env, cwd: '/' }, secrets)
    const screen = screenOf(stdout, env)
    writeTinted(stdout, showDestinations({ destinations: [row], total: 1, as_of: null }, 0, screen))
    return drawn
  }

  it('has colours on a terminal only, and none where NO_COLOR or TERM forbids them', () => {
    const coloured = drawnOn(terminal(100), {})
    expect(coloured)
      .to.include('d.example    \u001b[31mbacking_off\u001b[0m')
      .and.to.include('\u001b[1mSTATE\u001b[0m')
    const plain = drawnOn(output(), { COLUMNS: '100' })
    // eslint-disable-next-line no-control-regex
    expect(coloured.replace(/\u001b\[\d+m/g, '')).to.equal(plain)
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }])
      expect(drawnOn(terminal(100), env)).to.equal(plain)
    expect(drawnOn(terminal(100), { NO_COLOR: '' })).to.equal(coloured)
  })

  it('shows no secret for all that', () => {
    const secrets = makeSecrets()
    secrets.add('d.example')
    expect(drawnOn(terminal(100), {}, secrets)).not.to.include('d.example')
  })
})
