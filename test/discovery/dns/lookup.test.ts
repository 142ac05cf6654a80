/** Our resolver as whoever asks for a `lookup` meets it: the dial, for the name of a proxy. */
import { expect } from 'chai'
import { makeLookup } from '../../../src/discovery/dns/lookup.ts'
import { explainError } from '../../../src/wire/explain-error.ts'
import { dnsSetting } from './setting.ts'
import type { ZoneData } from '../../../src/simulate/dns/zone.ts'

const ZONE: ZoneData = {
  'here.example': { a: ['127.0.0.1'], aaaa: ['::1'] },
  'servfail.example': { instead: 'servfail' },
  'silent.example': { instead: 'silent' },
}

describe('our resolver as a lookup that knows only addresses and errors', () => {
  const setting = dnsSetting()

  it('gives addresses, or has the errors that Node has, and words for them', async () => {
    const server = await setting.server(ZONE)
    const lookup = makeLookup(setting.resolver([server], { timeoutMs: 100, attempts: 1, lateMs: 1_000 }))
    const failed = (name: string) =>
      lookup(name).then(
        () => null,
        (error: unknown) => error as Error,
      )
    const six = { address: '::1', family: 6 }
    const four = { address: '127.0.0.1', family: 4 }
    expect(await lookup('here.example')).to.deep.equal([six, four])
    expect(await lookup('127.0.0.9')).to.deep.equal([{ address: '127.0.0.9', family: 4 }])
    expect(explainError(await failed('nowhere.example'))).to.equal('the name has no address (ENOTFOUND)')
    expect(explainError(await failed('silent.example'))).to.equal(
      'the name could not be looked up (EAI_AGAIN)',
    )
    const error = await failed('servfail.example')
    expect(explainError(error)).to.equal('the name could not be looked up (ESERVFAIL)')
    expect(error?.message).to.equal(`servfail.example: ${server.name} answered SERVFAIL`)
    expect(error).to.deep.include({ hostname: 'servfail.example', syscall: 'lookup' })
  })
})
