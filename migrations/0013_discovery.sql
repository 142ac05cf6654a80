-- What server discovery was answered (`.well-known`, SRV), shared by all processes: one asks, the others read it here. Losing it loses
-- nothing but lookups. `answer` is text, not jsonb: it is what another server sent, and only who wrote it can read it.
create table discovered (
  key text primary key,
  -- Null: it was never answered, and somebody asks.
  answer text,
  at bigint,
  refresh_ms double precision,
  fresh_ms double precision,
  keep_ms double precision,
  failures integer,
  claimed_by uuid,
  claimed_until bigint not null default 0
);
create index discovered_at on discovered (at);
