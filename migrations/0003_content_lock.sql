-- Where was a text taken away last? With the answer comes the shared content lock, held until the commit: what was asked
-- stays true until then. Volatile on purpose: what is read after the lock was waited for is read anew, and so a
-- statement that asks by this function needs no second one before it.
create function content_taken_at() returns bigint language plpgsql volatile as $$
begin
  -- The key is that of `lockContentShared` in src/store/stream.ts.
  perform pg_advisory_xact_lock_shared(1818848626);
  return coalesce((select max(pos) from changes where kind in ('redact', 'purge', 'erase')), 0);
end
$$;
