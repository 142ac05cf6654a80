/** `store/delivery/blocks.ts`, and who is put aside for them. */
import { least, lives } from '../rules.ts'
import { twin, type Call, type Twins } from '../statement.ts'

const NO_BLOCK = { glob: null, reason: null, who: null, at: null }

const changed = ({ t }: Call, version: string): number => {
  t.block_list.change(1, { version })
  return 1
}

export const BLOCKS = {
  'read the blocks': twin<[string | null]>(({ t }, known) => {
    const version = t.block_list.get(1)?.version
    const blocks = version === known ? [] : t.blocks.all()
    return (blocks.length === 0 ? [NO_BLOCK] : blocks).map((block) => ({ version, ...block }))
  }),
  block: twin<[string, string | null, string, string]>((call, glob, reason, who, version) => {
    const { t, now } = call
    t.blocks.put(glob, { ...(t.blocks.get(glob) ?? { glob, who, at: now }), reason })
    return changed(call, version)
  }),
  unblock: twin<[string, string]>((call, glob, version) => {
    if (call.t.blocks.get(glob) === undefined) return 0
    call.t.blocks.delete(glob)
    return changed(call, version)
  }),
  'read the names of all': twin<[]>(({ t }) => t.destinations.all().map(({ id, name }) => ({ id, name }))),
  'put aside who is blocked': twin<[readonly string[]]>(({ t, now }, names) => {
    const aside = t.destinations
      .all()
      .filter((d) => names.includes(d.name) && !lives(t, d.lease_owner, now))
      .filter((d) => d.look_at !== null || d.missed > 0 || d.follows)
    for (const { id } of aside) t.destinations.change(id, { look_at: null, missed: 0, follows: false })
    return aside.length
  }),
  'who is blocked no more': twin<[readonly string[]]>(({ t, now }, names) => {
    const back = t.destinations
      .all()
      .filter((d) => names.includes(d.name) && !d.paused)
      .filter((d) => d.look_at === null || d.look_at > now || lives(t, d.lease_owner, now))
    for (const { id, look_at, wake_seq } of back)
      t.destinations.change(id, { look_at: least(look_at, now), wake_seq: wake_seq + 1 })
    return back.length
  }),
} satisfies Twins
