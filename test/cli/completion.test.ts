/** What shells are told to complete: run in those that are there. */
import { execFileSync, spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { expect } from 'chai'
import { limpet } from './cli-stage.ts'

const scriptFor = async (shell: string) => (await limpet(['completion', shell], { cwd: tmpdir() })).out
const hasShell = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0

describe('limpet completion', () => {
  it('bash: completes commands, options and the values that are fixed', async () => {
    const script = await scriptFor('bash')
    const replies = (...words: string[]) => {
      const typed = `COMP_WORDS=(limpet ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}`
      const run = `${script}\n${typed}\n_limpet\nprintf '%s\\n' "\${COMPREPLY[@]}"`
      return execFileSync('bash', ['-c', run], { cwd: '/', encoding: 'utf8' }).trim().split('\n')
    }
    expect(replies('stat')).to.deep.equal(['status'])
    expect(replies('')).to.include.members(['run', 'destinations', 'explain', 'db', 'completion', '--help'])
    expect(replies('db', '')).to.include.members(['dump', 'load', 'copy'])
    expect(replies('status', '--w')).to.deep.equal(['--watch'])
    expect(replies('skip', '--')).to.include.members(['--dry-run', '--yes', '--url', '--json'])
    expect(replies('destinations', '--state', 'b')).to.deep.equal(['backing_off', 'blocked'])
    expect(replies('destinations', '--order-by', 'pending_p')).to.deep.equal(['pending_pdus'])
    expect(replies('run', '--role', 'ho')).to.deep.equal(['housekeep'])
    expect(replies('completion', 'z')).to.deep.equal(['zsh'])
    expect(replies('help', 'quar')).to.deep.equal(['quarantine'])
    expect(replies('status', '--config', 'et')).to.deep.equal(['etc'])
    expect(replies('init', 'et')).to.deep.equal(['etc'])
    expect(replies('destination', 'x')).to.deep.equal([''])
  })

  for (const [shell, part] of [
    ['zsh', "skip) _arguments '*: : ' '--"],
    [
      'fish',
      "complete -c limpet -n '__fish_seen_subcommand_from skip' -l dry-run -d 'only count what would be given up'",
    ],
  ] as const) {
    it(`${shell}: knows each command with its options`, async () => {
      const script = await scriptFor(shell)
      const { out } = await limpet(['--help'], { cwd: tmpdir() })
      const names = [...out.matchAll(/^ {2}([a-z-]+) /gm)]
        .map(([, name = '']) => name)
        .filter((one) => one[0] !== '-')
      for (const name of names) expect(script).to.match(new RegExp(`\\b${name}\\b`))
      expect(script).to.include(part)
      if (shell === 'zsh')
        expect(script).to.match(/^ {4}skip\) _arguments .*'--dry-run\[only count what would be given up\]'/m)
      // Each quote has its end.
      expect(script.split("'").length % 2, 'quotes').to.equal(1)
      if (hasShell(shell)) expect(spawnSync(shell, ['-n', '-c', script]).status).to.equal(0)
    })
  }

  it('knows no other shell', async () => {
    expect(await limpet(['completion', 'csh'], { cwd: tmpdir() })).to.deep.equal({
      ...{ status: 2, out: '', err: 'limpet: "csh" is not one of bash, zsh, fish\n' },
    })
  })
})
