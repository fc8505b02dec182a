-- One run of a schedule at a time, over all schedulers of this database: the session holds it, and the server gives it
-- back when the session ends, however it ends.
select pg_try_advisory_lock(%(key)s)
