/**
 * A shell in which the commands of the pages are run as they stand there: `limpet` is this limpet, `npx limpet` too, and `systemctl` starts and stops
 * it. Only what a test must choose is put in the place of what the page says: addresses, ports, names.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readGeneratedTokens } from '../../src/config/secrets.ts'
import { limpet, startProgram } from '../cli/cli-stage.ts'
import { builtMain } from '../support/built.ts'
import { inherited } from '../support/inherited.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { quietPort } from '../support/port.ts'
import { freshDatabase } from '../support/postgres.ts'
import { ROOT } from './blocks.ts'

export interface Ran {
  readonly status: number
  readonly said: string
}

export interface Run {
  /** Text of the page, and what stands for it here. */
  readonly instead?: Readonly<Record<string, string>>
  /** Commands that may fail here, such as those that ask a public server. */
  readonly mayFail?: RegExp
  /** Where they are typed; default: where limpet is installed. */
  readonly folder?: string | undefined
  /** Of the limpet there; default: the one that all share. */
  readonly databaseUrl?: string | undefined
}

/** Commands without an end of their own are started, and waited for until they say that they run. */
const PRELUDE = `
set -eu -o pipefail
limpet() {
  case "\${1-}" in run|receive) begin "$@"; return;; esac
  case "$*" in *--watch*) timeout 3 node "$MAIN" "$@" || [ $? = 124 ]; return;; esac
  local answer status
  answer=$({ env -0 | grep -z '^LIMPET_' || true; printf '\\0'; printf '%s\\0' "$PWD" "$@"; } |
    command curl -s --unix-socket "$BRIDGE" --data-binary @- http://limpet/)
  status=\${answer%%$'\\n'*}
  echo "\${answer#*$'\\n'}"
  if [ "$status" != 0 ] && [ -n "$MAY_FAIL" ] && [[ "$*" =~ $MAY_FAIL ]]; then return 0; fi
  return "$status"
}
begin() {
  local log pid
  log=$(mktemp -p "$STAGE")
  if [ "$1" = receive ]; then set -- "$@" --port "$RECEIVE_PORT"; fi
  node "$MAIN" "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >>"$STAGE/pids"
  until grep -q -e '"msg":"limpet runs"' -e '^What comes is shown' "$log"; do
    kill -0 "$pid" 2>/dev/null || { cat "$log"; return 1; }
    sleep 0.05
  done
  cat "$log"
}
npx() {
  local what=$1
  shift
  case "$what" in
    limpet) limpet "$@" ;;
    tsx) LIMPET_URL="$URL" node "--import=$TSX" "$ROOT/$1" "\${@:2}" ;;
    mocha) compgen -G "$ROOT/\${*: -1}" >/dev/null ;;
    *) echo "npx $what: what is that?"; return 1 ;;
  esac
}
bash() { [ -f "$ROOT/$1" ]; }
npm() {
  case "$1" in
    ci|install|test) ;;
    run) grep -q "\\"$2\\": " "$ROOT/package.json" || { echo "there is no script $2"; return 1; } ;;
    *) echo "npm $1: what is that?"; return 1 ;;
  esac
}
curl() { command curl -sS --fail-with-body "$@"; echo; }
systemctl() {
  case "$1" in
    start) limpet run ;;
    stop) while read -r pid; do kill "$pid" 2>/dev/null || true; tail --pid="$pid" -f /dev/null; done <"$STAGE/pids"; : >"$STAGE/pids" ;;
    reload) xargs kill -HUP <"$STAGE/pids" ;;
  esac
}
`

export async function setPageStage() {
  const dir = mkdtempSync(join(tmpdir(), 'limpet-pages-'))
  const bridge = join(dir, 'bridge')
  const [port, receivePort] = [await quietPort(), await quietPort()]
  const database = await freshDatabase()
  writeFileSync(join(dir, 'pids'), '')
  // A command in this process takes a tenth of the time that a process of its own would take.
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const words = Buffer.concat(parts).toString().split('\0').slice(0, -1)
      const between = words.indexOf('')
      const env = Object.fromEntries(
        words.slice(0, between).map((pair) => {
          const [name = '', ...value] = pair.split('=')
          return [name, value.join('=')]
        }),
      )
      const [cwd = '', ...args] = words.slice(between + 1)
      void limpet(args, { cwd, env }).then(({ status, out, err }) =>
        response.end(`${status}\n${out}${err}`.trimEnd()),
      )
    })
  })
  server.listen(bridge)
  await once(server, 'listening')

  const env = {
    ...inherited(),
    ...{ STAGE: dir, BRIDGE: bridge, ROOT, MAIN: builtMain() },
    ...{ TSX: import.meta.resolve('tsx'), TSX_TSCONFIG_PATH: join(ROOT, 'tsconfig.json') },
    ...{ LIMPET_LISTEN: JSON.stringify({ host: '127.0.0.1', port }) },
    // Nobody answers: no page's command leaves this machine.
    ...{ LIMPET_FEDERATION__DNS_SERVERS: '["127.0.0.1:9"]', RECEIVE_PORT: String(receivePort) },
    URL: `http://127.0.0.1:${port}`,
  }
  const always = {
    'localhost:8469': `127.0.0.1:${port}`,
    '127.0.0.1:8469': `127.0.0.1:${port}`,
    '127.0.0.1:8449': `127.0.0.1:${receivePort}`,
  }

  /** Nothing, where there is no limpet yet. */
  const token = (folder = 'installed'): string =>
    readGeneratedTokens(join(dir, folder, 'limpet-data')).ingest ?? ''

  async function run(
    text: string,
    { instead = {}, mayFail, folder = 'installed', databaseUrl = database.url }: Run = {},
  ): Promise<Ran> {
    mkdirSync(join(dir, folder), { recursive: true })
    let script = text
    for (const [there, here] of Object.entries({ ...always, ...instead }))
      script = script.replaceAll(there, here)
    const bash = startProgram('bash', ['-c', `${PRELUDE}\n${script}`], {
      cwd: join(dir, folder),
      env: { ...env, MAY_FAIL: mayFail?.source ?? '', INGEST: token(folder), LIMPET_DATABASE: databaseUrl },
    })
    const status = await bash.ended
    return { status: typeof status === 'number' ? status : -1, said: `${bash.out}${bash.err}` }
  }

  const forget = leaveBehind({ clear: () => remove(), kill: () => undefined })
  async function remove(): Promise<void> {
    forget()
    await run('systemctl stop')
    server.close()
    rmSync(dir, { recursive: true, force: true })
  }
  return {
    ...{ folder: join(dir, 'installed'), database: database.url },
    url: `http://127.0.0.1:${port}`,
    token,
    run,
    remove,
  }
}

export type PageStage = Awaited<ReturnType<typeof setPageStage>>
