-- To whom nothing is sent, by an operator's word. Globs, in lower case: what they match is decided by the processes (`src/allow/blocks.ts`).
create table blocks (
  glob text primary key,
  reason text,
  -- The name of the operator's token.
  who text not null,
  at bigint not null
);

-- Another one with each change, never one that was there before: a process that goes by this version goes by the list as it is, also after
-- the database failed over to an older state.
create table block_list (
  one boolean primary key default true check (one),
  version uuid not null
);
insert into block_list (version) values (gen_random_uuid());
