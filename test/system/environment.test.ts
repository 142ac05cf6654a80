import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { generateKey, readSigningKey } from '../../src/matrix/signing.ts'
import { startLimpet } from '../chaos/process.ts'
import { loopbackAuthority, makeEvent } from '../e2e/world.ts'
import { until } from '../support/poll.ts'
import { quietPort } from '../support/port.ts'

const TOKENS = { ingest: 'ingest-token', read: 'read-token', admin: 'admin-token' }

describe('the environment of a limpet', () => {
  it('turns no check of certificates off, and leads to no other database', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'limpet-environment-'))
    const { tls } = await loopbackAuthority()
    let requests = 0
    // Its authority is nobody's whom limpet is told to trust.
    const remote = createServer(tls, (_request, response) => {
      requests += 1
      response.end('{"pdus": {}}')
    })
    remote.on('tlsClientError', () => undefined)
    await once(remote.listen(0, '127.0.0.1'), 'listening')
    const name = `127.0.0.1:${(remote.address() as AddressInfo).port}`
    const port = await quietPort()
    const { fileText } = generateKey(randomBytes)
    writeFileSync(join(dir, 'key'), fileText, { mode: 0o600 })
    const settings = {
      ...{ server_name: 'home.example', signing_key_path: 'key', listen: { port }, tokens: TOKENS },
      federation: { ip_allowlist: ['127.0.0.0/8'] },
    }
    writeFileSync(join(dir, 'limpet.yaml'), JSON.stringify(settings), { mode: 0o600 })
    const limpet = startLimpet(['run', '--config', join(dir, 'limpet.yaml')], {
      ...{
        NODE_TLS_REJECT_UNAUTHORIZED: '0',
        PGSSLMODE: 'no-verify',
        PGHOST: '127.0.0.1',
        PGPORT: '1',
        PGUSER: 'postgres',
      },
    })
    try {
      await limpet.ready()
      const api = async (path: string, token: string, body?: object) => {
        const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
        const init =
          body === undefined ? { headers } : { headers, method: 'POST', body: JSON.stringify(body) }
        return (await (await fetch(`http://127.0.0.1:${port}${path}`, init)).json()) as Record<
          string,
          unknown
        >
      }
      const { item } = makeEvent(readSigningKey(fileText), '!room:home.example', {})
      const servers = { type: 'servers', room_id: '!room:home.example', add: [name] }
      await api('/v1/ingest', TOKENS.ingest, { items: [servers, item] })
      const told = await until(
        async () => {
          const found = JSON.stringify(await api(`/v1/destinations/${encodeURIComponent(name)}`, TOKENS.read))
          return requests > 0 || /certificate|self.signed|issuer/i.test(found) ? found : null
        },
        { what: 'the certificate to be refused' },
      )
      expect(requests, told).to.equal(0)
    } finally {
      await limpet.terminate()
      remote.closeAllConnections()
      remote.close()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})
