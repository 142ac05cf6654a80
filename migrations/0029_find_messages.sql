-- What became of a to-device message (contract 4, `explain`): found by its `message_id`, and told from one that an operator gave up.
--
-- Locks: an index on `edus`, for as long as its rows are read once; no release before this one takes EDUs, so there are none. A column, for a moment only.
create index edus_message on edus (who) where type = 'm.direct_to_device' and recipients is not null;

-- Where the lane of durable EDUs had come to; null: of a release that did not say.
alter table skips add column durable_from bigint;
