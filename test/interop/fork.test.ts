/**
 * Forks of a room: two events with the same parent, after which different servers are in the room.
 *
 * Alice and Amy are on homeserver A, for which limpet sends; Bob, who may kick, on B; Carol on C. An event goes to the
 * servers in the room in the state at its own parents, whatever has become of the room since.
 */
import { expect } from 'chai'
import { type Client, registerClient } from './support/client.ts'
import { dawdle, type Dawdle } from './support/dawdle.ts'
import { knowsWhole, placeOf, seesMember } from './support/inside.ts'
import { allSaid, type Ledger, makeLedger } from './support/ledger.ts'
import { roomWith, threeUsers } from './support/people.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'

for (const version of ['6', '10', '11', '12']) {
  describe(`a room of version ${version} forks`, function () {
    oneStory(this)
    const stage = makeStage()
    let a: Synapse
    let b: Synapse
    let c: Synapse
    let alice: Client
    let amy: Client
    let bob: Client
    let carol: Client
    let commonRoom: string
    let slow: Dawdle | null = null

    before(async function () {
      ;({ a, b, c } = await stage.open(this))
      ;({ alice, bob, carol } = await threeUsers({ a, b, c }))
      amy = await registerClient(a, 'amy')
      await stage.limpet({ synapse: a })
      commonRoom = await roomWith(alice, { a, guests: [bob, carol] })
    })
    afterEach(async () => {
      await slow?.release()
      slow = null
    })
    after(async function () {
      await stage.clear(this)
    })

    it('A and B cannot reach each other: Bob kicks Carol, and Alice, who does not know, says something', async () => {
      const { room, ledger } = await everybodyIn()
      a.gate.cutOff(b.serverName)
      b.gate.cutOff(a.serverName)
      await bob.kick(room, carol.userId)
      const kick = await seesMember(b, room, carol.userId, 'leave')
      const said = await alice.send(room, 'Carol, are you there?')
      ledger.expect('what Alice said without knowing of the kick', said, [b, c])
      expect(await parentsOf(a, said)).to.deep.equal(await parentsOf(b, kick))
      a.gate.heal()
      b.gate.heal()
      await seesMember(a, room, carol.userId, 'leave')
      const later = await alice.send(room, 'she is gone, then')
      ledger.expect('what Alice says when she knows', later, [b])
      await bob.seeAll(room, [said, later])
      await compare(ledger)
    })

    it('Alice’s message is made before Bob’s kick of Carol reaches A, and stored after it: C is still sent it', async () => {
      const { room, ledger } = await everybodyIn()
      // Amy is to be notified of the message, and noting that takes long.
      slow = await dawdle(a, { table: 'event_push_actions_staging', when: 'true' })
      const saying = alice.send(room, 'Carol, are you there?')
      await slow.caught()
      await bob.kick(room, carol.userId)
      const kick = await seesMember(a, room, carol.userId, 'leave')
      await slow.release()
      slow = null
      const said = await saying
      ledger.expect('what was made before the kick', said, [b, c])
      expect(await parentsOf(a, said)).to.deep.equal(await parentsOf(a, kick))
      expect((await placeOf(a, said))?.at).to.be.above((await placeOf(a, kick))?.at ?? Infinity)
      ledger.expect('what came after both', await alice.send(room, 'she is gone, then'), [b])
      await compare(ledger)
    })

    it('the other way round: Carol joins through B meanwhile, and C is not sent what was made before', async () => {
      const { room, ledger } = await everybodyBut()
      slow = await dawdle(a, { table: 'event_push_actions_staging', when: 'true' })
      const saying = alice.send(room, 'Carol is not here')
      await slow.caught()
      await carol.join(room, b)
      const join = await seesMember(a, room, carol.userId, 'join')
      await slow.release()
      slow = null
      const said = await saying
      ledger.expect('what was made before the join', said, [b])
      expect(await parentsOf(a, said)).to.deep.equal(await parentsOf(a, join))
      expect((await placeOf(a, said))?.at).to.be.above((await placeOf(a, join))?.at ?? Infinity)
      const after = await alice.send(room, 'now she is')
      ledger.expect('what came after both', after, [b, c])
      await carol.see(room, after)
      await compare(ledger)
    })

    /** A new room with Alice, Amy and Bob, in which Bob may kick. */
    async function everybodyBut(): Promise<{ room: string; ledger: Ledger }> {
      // In version 12 the room's creator stands above all and may not be listed.
      const users = { ...(version === '12' ? {} : { [alice.userId]: 100 }), [bob.userId]: 50 }
      const room = await alice.createRoom({ room_version: version, power_level_content_override: { users } })
      const ledger = makeLedger({ from: a, servers: { B: b, C: c }, roomId: room, version })
      await amy.join(room)
      await bob.join(room, a)
      await knowsWhole(b, room)
      return { room, ledger }
    }

    async function everybodyIn(): Promise<{ room: string; ledger: Ledger }> {
      const { room, ledger } = await everybodyBut()
      await carol.join(room, a)
      // Carol's join went through A, which sends it on to B.
      ledger.expect('Carol’s join', await seesMember(a, room, carol.userId, 'join'), [b])
      await seesMember(b, room, carol.userId, 'join')
      return { room, ledger }
    }

    async function compare(ledger: Ledger): Promise<void> {
      await allSaid(alice, commonRoom, a, [b, c])
      expect(ledger.arrived()).to.deep.equal(ledger.expected())
    }

    async function parentsOf(synapse: Synapse, eventId: string): Promise<string[]> {
      const place = await placeOf(synapse, eventId)
      return place?.parents ?? []
    }
  })
}
