/** What the admin API answers, as far as the commands print it (contract, section 4). Times are ms since the epoch. */
export interface StatusAnswer {
  server_name: string
  version: string
  position: number
  destinations: Record<string, number>
  pending_pdus: number
  oldest_pending_ms: number | null
  sticky_pending: number
  sent_per_second: number
  /** Between the last two counts; null: there are no two. Left out by a daemon older than this. */
  taken_per_second?: number | null
  pending_change_per_second?: number | null
  /** At that pace; null: it does not shrink. */
  empty_in_ms?: number | null
  as_of: number | null
  /** Processes that take their failures for their own fault. Left out by a daemon older than this. */
  own_trouble?: { process: string; kind: string; since: number }[]
  /** Left out by a daemon older than this. */
  sources?: ListedSource[]
}

export interface ListedSource {
  name: string
  state: string
  position: number | null
  behind: number | null
  since: number
  last_error: { message: string; at: number } | null
}

export interface SourceAnswer extends ListedSource {
  /** Its database was restored to an older state; null: it was not, or goes on already. */
  restored: { place: number; head: number; common: number | null } | null
  /** It was told to go on, and has not begun. */
  continuing: boolean
}

/** Of an operator's action on one destination. */
export interface ActionAnswer {
  /** Why nothing is sent to it all the same; absent: something is, if it is owed something. */
  blocked?: string
}

/** Whom a glob concerns: how many, and the first of their names. */
export interface ConcernedAnswer {
  matched: number
  names: string[]
}

/** Of a skip: what was owed when it was asked for. */
export interface SkipAnswer extends ActionAnswer {
  pending_pdus: number
  pending_sticky: number
  /** Left out by a daemon older than this. */
  pending_edus?: number
  /** There were more. */
  pending_capped?: boolean
}

/** Of an action by a glob. */
export interface ManyAnswer {
  matched: number
  /** The first hundred. */
  names: string[]
  /** So many of them are blocked: nothing is sent to them whatever is done. */
  blocked: number
  /** Not done to so many, for this reason. */
  left_out: { blocked: number; paused: number; held: number }
}

export interface DestinationAnswer {
  destination: string
  state: string
  reason: string
  position: number
  head: number
  pending_pdus: number
  pending_capped?: boolean
  pending_sticky: number
  /** Null: not counted. Left out by a daemon older than this. */
  pending_edus?: number | null
  pending_edus_capped?: boolean
  oldest_pending_ms: number | null
  in_flight: { txn_id: string; since: number; attempt: number; process: string } | null
  open_transaction: { txn_id: string; created_at: number; attempt: number; pdus: number; edus: number } | null
  gap: { from: number; to: number; rooms_left: number | null } | null
  /** PDUs that are set aside, and rooms that are held. */
  quarantined: number
  failing_since: number | null
  last_attempt: number | null
  next_attempt: number | null
  retry_interval_ms: number | null
  last_error: { kind: string | null; status: number | null; message: string | null; at: number | null } | null
  last_success: number | null
}

/** The next transaction, as it would be sent now. */
export interface PreviewAnswer {
  destination: string
  reason: string
  next_attempt: number | null
  txn_id: string | null
  attempts: number
  catch_up_begins: boolean
  what: 'ordinary' | 'question' | 'half' | 'set_aside' | null
  first: 'catch_up' | 'room_goes_on' | 'event_goes_last' | null
  search: { pdus: number; parts: number; not_before: number | null } | null
  /** Left out by a daemon older than this. */
  edu_search?: { most: number; not_before: number | null } | null
  set_aside: { total: number; next: QuarantineAnswer['quarantine'] }
  pdus: {
    event_id: string
    room_id: string | null
    position: number
    as: 'timeline' | 'catch_up' | 'sticky_replay'
  }[]
  /** Left out by a daemon older than this. */
  edus?: { edu_type: string; position: number }[]
  bytes: number
  body: string | null
}

export interface Listed {
  total: number
  next_token?: string
}

export interface DestinationsAnswer extends Listed {
  destinations: DestinationAnswer[]
  as_of: number | null
}

export interface RoomsAnswer extends Listed {
  rooms: { room_id: string; pending_pdus: number; latest_position: number; pending_sticky: number }[]
}

export interface TransactionsAnswer extends Listed {
  transactions: {
    txn_id: string | null
    at: number
    duration_ms: number
    pdus: number
    edus: number
    outcome: string
    status: number | null
    message: string | null
  }[]
}

export interface QuarantineAnswer extends Listed {
  quarantine: {
    id: string
    kind: string
    event_id: string | null
    room_id: string | null
    edu_type: string | null
    since: number
    tries: number
    next_try: number | null
    status: number | null
    message: string | null
  }[]
}

export interface StickyAnswer extends Listed {
  sticky: {
    event_id: string
    room_id: string
    sender: string
    expires_at: number
    owed_to: string[]
    delivered: number
  }[]
}

/** Of an event, or of a to-device message. */
export interface EventAnswer {
  event_id: string | null
  /** Of a to-device message, which has neither event id nor room. */
  message_id?: string
  room_id: string | null
  position: number
  received: number
  sticky_until: number | null
  destinations: {
    destination: string
    outcome: string
    as: string | null
    txn_id: string | null
    at: number | null
    why: string | null
  }[]
}
