-- name: lock
-- Hold the end of the log: nobody appends until this transaction ends.
select h.position, h.chain, l.epoch, l.fenced from harness.head h cross join harness.log l for update of h

-- name: writers
-- Who is connected to append.
select a.pid, a.usename, coalesce(host(a.client_addr), 'local') from pg_catalog.pg_stat_activity a
where a.datname = current_database() and a.application_name = 'harness-append' and a.pid <> pg_backend_pid()
order by a.pid

-- name: fence
-- Let nobody append until the epoch has been raised.
update harness.log set fenced = true

-- name: restore
-- Take back a batch that a segment kept.
select harness.restore_batch(%(position)s, %(events)s, %(kind)s, %(decision_point)s, %(schema_digest)s, %(writer)s,
    %(sequence)s, %(occurred_min)s, %(occurred_max)s, %(recorded_at)s, %(digest)s, %(chain)s, %(payload)s)

-- name: begin_epoch
-- Say after which position an epoch begins.
insert into harness.epoch (epoch, after) values (%(epoch)s, %(after)s) on conflict do nothing

-- name: raise
-- Raise the epoch and let writers in again. What is covered is not more than what there is.
update harness.log set epoch = %(epoch)s, fenced = false, covered = least(covered, %(after)s)
