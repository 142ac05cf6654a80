/** The stage of what is told of PDUs that a destination refuses, or can't read: a daemon, and a remote that is in two rooms. */
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { makeWorld, PATIENT, TOKENS, type World } from './world.ts'

export const ROOM = '!room:home.example'
export const OTHER = '!other:home.example'

export async function makeTwoRooms(): Promise<{ world: World; remote: FakeHomeserver }> {
  const world = await makeWorld({ settings: { internal: PATIENT.internal } })
  await world.start()
  const remote = await world.remote()
  for (const room of [ROOM, OTHER])
    await world.ingest([{ type: 'servers', room_id: room, add: [remote.serverName] }])
  return { world, remote }
}

/** An operator's action: `pause`, `resume`, `retry` … */
export const actOn = (world: World, { serverName }: Pick<FakeHomeserver, 'serverName'>, verb: string) =>
  world.request(`/v1/destinations/${serverName}/${verb}`, { method: 'POST', token: TOKENS.admin })
