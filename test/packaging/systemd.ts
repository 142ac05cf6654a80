/**
 * `ops/systemd/README.md`, block by block, on a machine of its own: install, start, reload, upgrade, remove. There is no systemd
 * on it: `systemctl` there carries out the unit's own lines, as far as a shell can. What the unit takes away is not in force.
 */
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect } from 'chai'
import { generateKey } from '../../src/matrix/signing.ts'
import { randomBytes } from 'node:crypto'
import { until } from '../support/poll.ts'
import { pack } from './installed.ts'
import { makeMachine } from './machine.ts'
import { commandsOf } from '../docs/blocks.ts'

/** The folder in which the page's commands run. */
const FOLDER = '/root/limpet'

export async function followSystemdPage(say: (line: string) => void): Promise<void> {
  const [install, configure, start, look, upgrade, remove, ...others] = commandsOf('ops/systemd/README.md')
  expect(others, 'blocks that nothing runs').to.deep.equal([])
  const { archive } = await pack()
  const machine = await makeMachine('/usr')
  const at = (path: string) => join(machine.root, path)
  const log = () => readFileSync(at('var/log/limpet'), 'utf8')
  const block = (name: string, script = '', online = false) => {
    say(`== ${name}\n${script}`)
    say(machine.run({ script, cwd: FOLDER, online }))
  }
  const runs = (times: number) =>
    until(() => log().split('limpet runs').length > times, { what: 'limpet to run' })

  writeFileSync(at('usr/local/bin/systemctl'), SYSTEMCTL, { mode: 0o755 })
  machine.run({ script: `mkdir -p ${FOLDER} /etc/systemd/system` })
  copyFileSync(archive, at(join(FOLDER, basename(archive))))
  writeFileSync(at(join(FOLDER, 'signing.key')), generateKey((size) => randomBytes(size)).fileText)

  block('install', install, true)
  block('configure', configure)
  block('start', start)
  await runs(1)
  block('look', look)
  expect(statSync(at('var/lib/limpet/tokens.yaml')).mode & 0o777).to.equal(0o600)
  say('== reload')
  machine.run({ script: 'systemctl reload limpet' })
  say(await until(() => /^.*SIGHUP.*$/m.exec(log())?.[0], { what: 'a word about the reload' }))
  block('upgrade', upgrade, true)
  await runs(2)
  block('look', look)
  block('remove', remove)
  for (const path of ['opt/limpet', 'etc/limpet', 'var/lib/limpet', 'usr/local/bin/limpet'])
    expect(existsSync(at(path)), path).to.equal(false)
  expect(readFileSync(at('etc/passwd'), 'utf8')).not.to.include('limpet')
  // It ended by itself each time, and not by force.
  expect(log().split('"stopped"')).to.have.length(3)
  machine.stop()
}

/**
 * Type=exec, User=, WorkingDirectory=, StateDirectory=, RuntimeDirectory=, UMask=, ExecStart=, ExecReload= and the signal that ends it. The
 * machine's process 1 is in its network, whatever this command's own is.
 */
const SYSTEMCTL = `#!/bin/bash
set -euo pipefail
unit=/etc/systemd/system/limpet.service
of() { sed -n "s/^$1=//p" "$unit"; }
case "$*" in
  daemon-reload) ;;
  'enable --now limpet' | 'start limpet')
    install -d -m "$(of StateDirectoryMode)" -o limpet -g limpet "/var/lib/$(of StateDirectory)"
    install -d -o limpet -g limpet "/run/$(of RuntimeDirectory)"
    cd "$(of WorkingDirectory)"
    umask "$(of UMask)"
    nsenter --target 1 --net setpriv --reuid="$(of User)" --regid="$(of Group)" --clear-groups env -i PATH=/usr/bin:/bin \\
      $(of ExecStart) >>/var/log/limpet 2>&1 &
    echo $! >/run/limpet.pid
    ;;
  'stop limpet' | 'disable --now limpet')
    pid=$(cat /run/limpet.pid)
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$pid/status"; do sleep 0.1; done
    ;;
  'reload limpet') MAINPID=$(cat /run/limpet.pid) bash -euc "$(of ExecReload)" ;;
  *) echo "systemctl: $*" >&2 && exit 1 ;;
esac
`
