import { expect } from 'chai'
import type { Item } from '../../src/ingest/items.ts'
import { makeKnownRooms } from '../../src/ingest/known-rooms.ts'

const item = (type: string, roomId: string, more: object = {}) =>
  ({ type, roomId, ...more }) as unknown as Item
const event = (roomId: string) => item('event', roomId, { audience: { alsoTo: [], notTo: [] } })
const add = (roomId: string) => item('servers', roomId, { change: { add: ['b'], remove: [] } })
const set = (roomId: string) => item('servers', roomId, { change: { set: ['b'] } })
const purge = (roomId: string) => item('purge', roomId)

describe('requests that go by the servers of rooms', () => {
  const known = () =>
    makeKnownRooms(new Map([['!told', { id: 1, isNew: false, version: null, known: true }]]))

  it('are refused for each room that is not known at that point', () => {
    expect(known().follow([event('!told'), add('!new'), event('!other')], true)).to.deep.equal([
      '!new',
      '!other',
    ])
    expect(known().follow([set('!new'), event('!new'), add('!new')], true)).to.deep.equal([])
    expect(known().follow([purge('!told'), event('!told')], true)).to.deep.equal(['!told'])
    expect(known().follow([purge('!told'), set('!told'), event('!told')], true)).to.deep.equal([])
    expect(known().follow([item('event', '!new', { audience: { to: ['b'] } })], true)).to.deep.equal([])
  })

  it('see what those before them in the commit did, but not what was refused', () => {
    const rooms = known()
    expect(rooms.follow([purge('!told')], false)).to.deep.equal([])
    expect(rooms.follow([event('!told')], true)).to.deep.equal(['!told'])
    expect(rooms.follow([set('!told'), event('!new')], true)).to.deep.equal(['!new'])
    expect(rooms.follow([event('!told')], true)).to.deep.equal(['!told'])
    expect(rooms.follow([add('!told')], false)).to.deep.equal([])
    expect(rooms.follow([event('!told')], true)).to.deep.equal([])
  })
})
