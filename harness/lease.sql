-- name: take
-- One holder of a name at a time, over all processes of this database: the session holds it, and the server gives it
-- back when the session ends, however it ends.
select pg_try_advisory_lock(%(key)s)

-- name: held
-- Whether some session holds the name: the two halves of the key are how the server lists it.
select exists (
    select from pg_locks l join pg_database d on d.oid = l.database
    where l.locktype = 'advisory' and d.datname = current_database() and l.objsubid = 1 and l.granted
        and (l.classid::bigint << 32) | l.objid::bigint = %(key)s)

-- name: give
-- Give back every lock of this session.
select pg_advisory_unlock_all()
