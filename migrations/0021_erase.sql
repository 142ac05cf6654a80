-- What an `erase` item took: the positions of its events, for who asks what became of one. Kept as long as its change, so as long as the log.
--
-- Locks: a nullable column, so for a moment only; nothing is rewritten. The release before this one neither reads nor writes it: to that one an
-- erasure is a change by which texts went, after which it reads anew.
alter table changes add column erased bigint[];
