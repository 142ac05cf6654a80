/** Who plays in most stories, and where they meet. */
import { type Client, registerClient } from './client.ts'
import type { Homeservers } from './homeservers.ts'
import type { Synapse } from './synapse.ts'

/** Alice on A, Bob on B, Carol on C. */
export async function threeUsers({
  a,
  b,
  c,
}: Pick<Homeservers, 'a' | 'b' | 'c'>): Promise<{ alice: Client; bob: Client; carol: Client }> {
  const [alice, bob, carol] = await Promise.all([
    registerClient(a, 'alice'),
    registerClient(b, 'bob'),
    registerClient(c, 'carol'),
  ])
  return { alice, bob, carol }
}

/** A room of Alice's, on A, that these guests are in; each of them has seen her say something there. */
export async function roomWith(
  alice: Client,
  { a, guests }: { a: Synapse; guests: readonly Client[] },
): Promise<string> {
  const room = await alice.createRoom()
  for (const guest of guests) await guest.join(room, a)
  const said = await alice.send(room, 'before')
  for (const guest of guests) await guest.see(room, said)
  return room
}

/** Two such rooms. */
export async function twoRoomsWith(
  alice: Client,
  all: { a: Synapse; guests: readonly Client[] },
): Promise<[string, string]> {
  return [await roomWith(alice, all), await roomWith(alice, all)]
}
