-- EDUs in transactions (contract 5.10): what an unanswered transaction holds of them, and what an answer then says.
--
-- Locks: columns with constant defaults, so for a moment only, and nothing is rewritten. The release before this one neither writes nor asks them: what it freezes
-- in the place of a transaction with EDUs has another id, so that these count for it no more (`edu_txn`); a transaction with EDUs that it should send again it
-- can't restore, and makes a new one.

-- Positions of the newest durable EDU and of the newest other one; 0: there was none.
alter table stream add column durable_head bigint not null default 0, add column edu_head bigint not null default 0;
update stream set durable_head = coalesce((select max(pos) from edus where durable), 0), edu_head = coalesce((select max(pos) from edus where not durable), 0);

alter table open_transactions
  -- The transaction to which these belong: where it is another than `txn_id`, none do.
  add column edu_txn text,
  -- How EDUs are made of parts (`matrix/edus/pack.ts`), and the positions of these parts in the order in which they are packed.
  add column edu_form smallint,
  add column edu_positions bigint[],
  -- The cursors of both lanes after an answer.
  add column durable_to bigint,
  add column ephemeral_to bigint;

alter table destinations
  -- When the last transaction was put together that held nothing but EDUs that are not durable, ms since the epoch; null: none was.
  add column ephemeral_at bigint,
  -- The last transaction held an EDU that is sent by itself.
  add column edu_alone boolean not null default false;
