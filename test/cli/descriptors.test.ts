import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { request } from 'node:http'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { parse } from 'yaml'
import { until } from '../support/poll.ts'
import { freshDatabase } from '../support/postgres.ts'
import { install, limpetCommand } from './cli-stage.ts'

describe('a real process with 256 descriptors', function () {
  this.timeout(300_000)

  it('answers health and ingest while 400 silent connections come, over a Unix socket as well', async () => {
    const { url } = await freshDatabase()
    const listen = [{ host: '127.0.0.1', port: 0 }, { socket: 'api.sock' }]
    const one = install({ database: url, listen })
    const { args, env } = limpetCommand(['run'])
    const child = spawn('/bin/sh', ['-c', 'ulimit -n 256; exec "$@"', 'sh', process.execPath, ...args], {
      ...{ cwd: one.dir, env, stdio: ['ignore', 'pipe', 'inherit'] },
    })
    const sockets: Socket[] = []
    try {
      let log = ''
      child.stdout.on('data', (data: Buffer) => (log += data.toString()))
      await until(() => log.includes('limpet runs'), { what: 'limpet to run' })
      const [, port] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(log) ?? []
      expect(log).to.include('the limit of open files is low')
      const places = [{ host: '127.0.0.1', port: Number(port) }, { path: join(one.dir, 'api.sock') }]
      for (let n = 0; n < 400; n++) {
        const place = places[n % 2]
        const socket =
          place?.path === undefined ? connect({ ...place, port: Number(port) }) : connect(place.path)
        socket.on('error', () => undefined)
        sockets.push(socket)
        await Promise.race([once(socket, 'connect'), once(socket, 'close')])
      }
      const tokens = parse(readFileSync(join(one.dir, 'limpet-data/tokens.yaml'), 'utf8')) as {
        ingest: string
      }
      const headers = { authorization: `Bearer ${tokens.ingest}`, 'content-type': 'application/json' }
      for (const { host, port: at, path: socketPath } of places) {
        const ask = (method: string, path: string, body?: string) =>
          new Promise<number>((resolve, reject) => {
            const where = socketPath === undefined ? { host, port: at } : { socketPath }
            const asked = request(
              { ...where, method, path, headers, agent: false, timeout: 20_000 },
              (answer) => {
                answer.resume()
                resolve(answer.statusCode ?? 0)
              },
            )
            asked
              .on('timeout', () => asked.destroy(new Error('no answer')))
              .on('error', reject)
              .end(body)
          })
        expect(await ask('GET', '/health/live')).to.equal(200)
        expect(await ask('GET', '/health/ready')).to.equal(200)
        expect(await ask('POST', '/v1/ingest', '{"items":[]}')).to.equal(200)
      }
    } finally {
      for (const socket of sockets) socket.destroy()
      child.kill('SIGKILL')
      await once(child, 'close')
      one.remove()
    }
  })
})
