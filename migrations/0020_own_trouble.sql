-- Own trouble (contract 5.11). Each process that delivers says with its lease when it was last answered, and whether it takes failures to be its own fault, of
-- which kind and since when. So the others know, and operators. `own_trouble` in `cursors`: up to when such a time was taken out of `failing_since`, so that two
-- processes do not count it twice.
--
-- Locks: three columns without a default, so for a moment only; nothing is rewritten or read. The release before this one neither reads nor writes them.
alter table workers add column answered_at bigint, add column own_trouble text, add column own_trouble_since bigint;
insert into cursors (name, pos) values ('own_trouble', 0) on conflict do nothing;
