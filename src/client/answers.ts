/** What limpet answers to each call, as types, made of the shapes that its reference is made of. */
import type { z } from 'zod'
import type * as destinations from '../api/destination-shapes.ts'
import type * as ingest from '../api/ingest-shapes.ts'
import type { IngestItem } from '../api/item-shapes.ts'
import type * as operators from '../api/operator-shapes.ts'

interface Shapes {
  ingest: typeof ingest.taken
  serverUp: typeof ingest.empty
  position: typeof ingest.placeOfSource
  unreachable: typeof ingest.unreachable
  rooms: typeof ingest.roomPage
  room: typeof ingest.room
  status: typeof operators.status
  destinations: typeof destinations.destinationPage
  destination: typeof destinations.destination
  pendingRooms: typeof destinations.pendingRoomPage
  attempts: typeof destinations.attemptPage
  quarantine: typeof destinations.quarantinePage
  preview: typeof destinations.preview
  discovery: typeof destinations.discovery
  explain: typeof operators.explained
  sticky: typeof operators.stickyPage
  blocks: typeof operators.blocks
  audit: typeof operators.auditPage
  source: typeof operators.source
  act: typeof operators.acted
  skip: typeof operators.skippedAnswer
  actOnMany: typeof operators.actedOnMany
  concerned: typeof operators.concerned
}

/** `LimpetAnswer<'status'>`: what `status()` resolves to. */
export type LimpetAnswer<Call extends keyof Shapes> = z.output<Shapes[Call]>
export type LimpetItem = IngestItem
export type LimpetAction = z.input<typeof operators.actionRequest>
export type LimpetBlock = z.input<typeof operators.blockRequest>
