/**
 * Who comes, goes and is sent away, and who gets which event of it: in every room version that differs for us.
 *
 * Alice and Amy are on homeserver A, for which limpet sends; Bob and Bea on B, Carol on C. What each server gets from A
 * is read at its gate. `/invite` requests are A's own and no business of limpet's.
 */
import { expect } from 'chai'
import { type Client, registerClient } from './support/client.ts'
import { seesMember } from './support/inside.ts'
import { allSaid, type Ledger, makeLedger } from './support/ledger.ts'
import { roomWith, threeUsers } from './support/people.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'

for (const version of ['6', '10', '11', '12']) {
  describe(`who gets what when members come and go, in a room of version ${version}`, function () {
    oneStory(this)
    const stage = makeStage()
    let a: Synapse
    let b: Synapse
    let c: Synapse
    let alice: Client
    let amy: Client
    let bob: Client
    let bea: Client
    let carol: Client
    let room: string
    let commonRoom: string
    let ledger: Ledger

    before(async function () {
      ;({ a, b, c } = await stage.open(this))
      ;({ alice, bob, carol } = await threeUsers({ a, b, c }))
      ;[amy, bea] = await Promise.all([registerClient(a, 'amy'), registerClient(b, 'bea')])
      await stage.limpet({ synapse: a })
      commonRoom = await roomWith(alice, { a, guests: [bob, carol] })
      // Who wants in must be invited.
      room = await alice.createRoom({ preset: 'private_chat', room_version: version })
      ledger = makeLedger({ from: a, servers: { B: b, C: c }, roomId: room, version })
    })
    after(async function () {
      await stage.clear(this)
    })

    it('Alice invites Carol, who joins', async () => {
      await alice.invite(room, carol.userId)
      ledger.expect('the invite of Carol', await seesMember(a, room, carol.userId, 'invite'), [])
      await carol.join(room)
      // C made that event itself and gave it to A to send on.
      ledger.expect('Carol’s join', await seesMember(a, room, carol.userId, 'join'), [])
      await says('hello, Carol', [c])
    })

    it('Alice invites Bob, who joins', async () => {
      await alice.invite(room, bob.userId)
      ledger.expect('the invite of Bob', await seesMember(a, room, bob.userId, 'invite'), [c])
      await bob.join(room)
      ledger.expect('Bob’s join', await seesMember(a, room, bob.userId, 'join'), [c])
      await says('hello, Bob', [b, c])
    })

    it('Amy, on Alice’s own server, joins and leaves', async () => {
      await alice.invite(room, amy.userId)
      ledger.expect('the invite of Amy', await seesMember(a, room, amy.userId, 'invite'), [b, c])
      await amy.join(room)
      ledger.expect('Amy’s join', await seesMember(a, room, amy.userId, 'join'), [b, c])
      await amy.leave(room)
      ledger.expect('Amy’s leave', await seesMember(a, room, amy.userId, 'leave'), [b, c])
    })

    it('Bea joins beside Bob; Alice kicks Bob, and B is still in the room', async () => {
      await alice.invite(room, bea.userId)
      ledger.expect('the invite of Bea', await seesMember(a, room, bea.userId, 'invite'), [b, c])
      await bea.seeStanding(room, 'invite')
      await bea.join(room)
      await seesMember(a, room, bea.userId, 'join')
      await alice.kick(room, bob.userId)
      ledger.expect('the kick of Bob', await seesMember(a, room, bob.userId, 'leave'), [b, c])
      await bob.seeStanding(room, 'leave')
      await says('Bea is still here', [b, c])
    })

    it('Alice kicks Bea: the kick still goes to B, what follows does not', async () => {
      await alice.kick(room, bea.userId)
      ledger.expect('the kick of Bea', await seesMember(a, room, bea.userId, 'leave'), [b, c])
      await bea.seeStanding(room, 'leave')
      await says('without B', [c])
    })

    it('Alice invites Bea again and takes it back: only B and C hear of that, and Bea is no longer invited', async () => {
      await alice.invite(room, bea.userId)
      ledger.expect('the second invite of Bea', await seesMember(a, room, bea.userId, 'invite'), [c])
      await bea.seeStanding(room, 'invite')
      await alice.kick(room, bea.userId)
      // B has nobody in the room. Without this event Bea would be invited for ever.
      ledger.expect('the rescinded invite', await seesMember(a, room, bea.userId, 'leave'), [b, c])
      await says('still without B', [c])
      await bea.seeStanding(room, 'leave')
    })

    it('Alice bans Carol: the ban still goes to C, what follows goes to nobody', async () => {
      await alice.ban(room, carol.userId)
      ledger.expect('the ban of Carol', await seesMember(a, room, carol.userId, 'ban'), [c])
      await carol.seeStanding(room, 'leave')
      await says('alone', [])
    })

    it('Carol is let in again and leaves by herself', async () => {
      await alice.unban(room, carol.userId)
      ledger.expect('the end of the ban', await seesMember(a, room, carol.userId, 'leave'), [])
      await alice.invite(room, carol.userId)
      ledger.expect('the second invite of Carol', await seesMember(a, room, carol.userId, 'invite'), [])
      await carol.seeStanding(room, 'invite')
      await carol.join(room, a)
      ledger.expect('Carol’s second join', await seesMember(a, room, carol.userId, 'join'), [])
      await says('welcome back', [c])
      await carol.leave(room)
      // C made and sends that event.
      ledger.expect('Carol’s leave', await seesMember(a, room, carol.userId, 'leave'), [])
      await says('alone again', [])
    })

    it('each event came to the servers it is for, and to nobody else', async () => {
      await allSaid(alice, commonRoom, a, [b, c])
      expect(ledger.arrived()).to.deep.equal(ledger.expected())
    })

    async function says(text: string, servers: readonly Synapse[]): Promise<void> {
      ledger.expect(`“${text}”`, await alice.send(room, text), servers)
    }
  })
}
