import { expect } from 'chai'
import { makeLog } from '../../src/observe/log.ts'
import { maskUrls } from '../../src/observe/secrets.ts'
import type { Log } from '../../src/observe/log.ts'

function written(pretty: boolean | 'auto', log: (log: Log) => void, isTTY = false): string {
  let text = ''
  const stream = { write: (line: string) => (text += line), isTTY }
  log(makeLog({ level: 'debug', pretty, stream }))
  return text
}

describe('the log', () => {
  it('is JSON, a line each', () => {
    const text = written('auto', (log) => log.info({ destination: 'b.example' }, 'sent'))
    expect(JSON.parse(text)).to.include({ level: 30, destination: 'b.example', msg: 'sent' })
    expect(text).to.match(/^[^\n]+\n$/)
  })

  it('can be read by a person where it is a terminal, and when asked to', () => {
    for (const text of [
      written('auto', (log) => log.info({ destination: 'b.example' }, 'sent'), true),
      written(true, (log) => log.info({ destination: 'b.example' }, 'sent')),
    ]) {
      expect(text).to.include('INFO').and.to.include('sent').and.to.include('b.example')
      expect(text).not.to.include('{"level"')
    }
  })

  it('holds no secret, from any caller', () => {
    const text = written(false, (log) => {
      log.info({ token: 'hidden1', a: { password: 'hidden2', b: { authorization: 'hidden3' } } }, 'x')
      log.info({ headers: { authorization: 'Bearer hidden4' } }, 'can not reach redis://:hidden5@h:1')
      log.error({ err: new Error('connect postgres://u:hidden6@h/d failed') }, 'x')
      log.child({ token: 'hidden7' }).warn(new Error('rediss://u:hidden8@h'))
    })
    expect(text).not.to.include('hidden')
    expect(text).to.include('postgres://u:***@h/d')
  })

  it('keeps what only looks like a secret', () => {
    expect(maskUrls('https://b.example:8448/_matrix @u:b.example')).to.equal(
      'https://b.example:8448/_matrix @u:b.example',
    )
    expect(maskUrls('redis://u:p@a:1,redis://:q@b:2')).to.equal('redis://u:***@a:1,redis://:***@b:2')
  })
})
