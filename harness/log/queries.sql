-- name: state
-- What the database holds, and whether it is a log that we know.
select version_num from harness.alembic_version

-- name: encoding
-- What letters the database can hold.
select current_setting('server_encoding')

-- name: identity
-- What this log is.
select log_id, epoch, clock, covered, created_at from harness.log

-- name: epochs
-- Where each epoch after the first begins: the last position that it shares with the history before it.
select e.epoch, e.after from harness.epoch e order by e.epoch

-- name: fenced
-- Whether a recovery has begun and not ended.
select l.fenced from harness.log l

-- name: position_of
-- Where the log has a writer's batch.
select b.position, b.chain from harness.batch b where b.writer = %(writer)s and b.sequence = %(sequence)s

-- name: head
-- The end of the log and what it is, in one snapshot.
select l.epoch, h.position, h.chain, h.recorded_at, l.log_id from harness.head h cross join harness.log l

-- name: place
-- The end of the log as head has it, then the epoch that a position was written in, when the batch that holds it was
-- recorded, its chain, and whether it ends there; nulls where no batch begins there or before.
select l.epoch, h.position, h.chain, h.recorded_at, l.log_id, p.* from harness.head h cross join harness.log l
left join lateral (
    select (select coalesce(max(e.epoch), 1) from harness.epoch e where e.after < %(position)s), b.recorded_at, b.chain,
        b.position + b.events - 1 = %(position)s
    from harness.batch b where b.position <= %(position)s order by b.position desc limit 1
) p on true

-- name: batch_at
-- The batch that holds a position.
select b.position, b.recorded_at, b.chain from harness.batch b
where b.position <= %(position)s order by b.position desc limit 1

-- name: position_at
-- The last position that was recorded at a time or before, and what time it is by the log's clock.
select harness.position_at(%(time)s),
    case l.clock when 'event' then h.recorded_at else greatest(h.recorded_at, clock_timestamp()) end
from harness.head h cross join harness.log l

-- name: now
-- What time it is by the log's clock.
select case l.clock when 'event' then h.recorded_at else greatest(h.recorded_at, clock_timestamp()) end
from harness.head h cross join harness.log l

-- name: high_water
-- How far a writer has come.
select sequence from harness.writer where writer = %(writer)s

-- name: start_of_kind
-- Where the batch begins that may hold a position: the last of one kind that begins there or before.
select b.position from harness.batch b where b.kind = %(kind)s and b.position <= %(start)s
order by b.position desc limit 1

-- name: start_of_point
-- As start_of_kind, for one decision point.
select b.position from harness.batch b
where b.kind = %(kind)s and b.decision_point = %(decision_point)s and b.position <= %(start)s
order by b.position desc limit 1

-- name: first_of_point
-- The first place from a position on that holds an event of one kind and decision point.
select greatest(b.position, %(start)s) from harness.batch b
where b.kind = %(kind)s and b.decision_point = %(decision_point)s and b.position < %(stop)s
    and b.position + b.events > %(start)s and b.position >= coalesce((
        select c.position from harness.batch c
        where c.kind = %(kind)s and c.decision_point = %(decision_point)s and c.position <= %(start)s
        order by c.position desc limit 1
    ), %(start)s)
order by b.position limit 1

-- name: next_of_kind
-- The next batches of one kind in a range, up to a budget of rows and bytes. Payloads are out of line, so that the
-- running total costs no read of them.
select c.position, c.events, c.recorded_at, c.digest, c.payload from (
    select b.position, b.events, b.recorded_at, b.digest, b.payload,
        sum(octet_length(b.payload)) over (order by b.position) - octet_length(b.payload) as before
    from harness.batch b
    where b.kind = %(kind)s and b.position >= %(start)s and b.position < %(stop)s
    order by b.position limit %(rows)s
) c where c.before < %(bytes)s order by c.position

-- name: next_of_point
-- As next_of_kind, for one decision point.
select c.position, c.events, c.recorded_at, c.digest, c.payload from (
    select b.position, b.events, b.recorded_at, b.digest, b.payload,
        sum(octet_length(b.payload)) over (order by b.position) - octet_length(b.payload) as before
    from harness.batch b
    where b.kind = %(kind)s and b.decision_point = %(decision_point)s
        and b.position >= %(start)s and b.position < %(stop)s
    order by b.position limit %(rows)s
) c where c.before < %(bytes)s order by c.position

-- name: controls
-- The end of the log, and up to it the next control events in order; one row of nulls where there are none.
select h.position, c.position, c.recorded_at, c.digest, c.payload from harness.head h left join lateral (
    select b.position, b.recorded_at, b.digest, b.payload from harness.batch b
    where b.kind = 'control' and b.position > %(after)s and b.position <= h.position
    order by b.position limit %(rows)s
) c on true order by c.position

-- name: links
-- Whole batches in order, for recomputing the chain.
select c.* from (
    select b.position, b.events, b.kind, b.decision_point, b.schema_digest, b.writer, b.sequence, b.occurred_min,
        b.occurred_max, b.recorded_at, b.digest, b.chain, b.payload,
        sum(octet_length(b.payload)) over (order by b.position) - octet_length(b.payload) as before
    from harness.batch b where b.position >= %(start)s and b.position < %(stop)s
    order by b.position limit %(rows)s
) c where c.before < %(bytes)s order by c.position

-- name: latest
-- The last batches of the log up to a position, newest first, with their payload.
select b.position, b.events, b.kind, b.decision_point, b.schema_digest, b.writer, b.sequence, b.occurred_min,
    b.occurred_max, b.recorded_at, b.digest, b.chain, b.payload
from harness.batch b where b.position < %(stop)s and (%(kind)s::text is null or b.kind = %(kind)s)
    and (%(decision_point)s::text is null or b.decision_point = %(decision_point)s)
order by b.position desc limit %(rows)s

-- name: stats
-- What the log holds, by kind and decision point.
select b.kind, b.decision_point, count(*) as batches, sum(b.events)::bigint as events,
    sum(octet_length(b.payload))::bigint as bytes, min(b.position) as first, max(b.position + b.events - 1) as last,
    min(b.occurred_min) as occurred_min, max(b.occurred_max) as occurred_max,
    coalesce(sum(b.events) filter (where octet_length(b.payload) = 0), 0)::bigint as released
from harness.batch b group by 1, 2 order by 1, 2

-- name: ahead
-- Who recorded what had not happened yet by the log's clock, by kind and decision point; a second is no one's fault.
select b.kind, b.decision_point, count(distinct b.writer) as writers, count(*) as batches, min(b.position) as first,
    max(b.occurred_max - b.recorded_at) as ahead
from harness.batch b where b.occurred_max > b.recorded_at + interval '1 second' group by 1, 2 order by 1, 2

-- name: stored_bytes
-- What the log takes on disk, with indexes and out-of-line payloads.
select coalesce(sum(pg_total_relation_size(p.relid)), 0)::bigint from pg_partition_tree('harness.batch') p where p.isleaf

-- name: schemas
-- The schemas of the batches that a range touches.
select distinct encode(b.schema_digest, 'hex') from harness.batch b
where b.position < %(stop)s and b.position + b.events > %(start)s and b.kind = %(kind)s
    and b.decision_point = %(decision_point)s

-- name: registrations
-- What the sealer said after a number of its own: segments registered, partitions released.
select b.sequence, b.position, b.digest, b.payload from harness.batch b
where b.writer = %(writer)s and b.sequence > %(after)s order by b.sequence

-- name: others
-- Whether anybody but one writer appended something but one kind to a range.
select b.position from harness.batch b
where b.position >= %(start)s and b.position < %(stop)s and b.writer <> %(writer)s and b.kind <> %(kind)s limit 1

-- name: partitions
-- Where partitions begin, how many positions each has, and where the log ends.
select generate_series(1, h.position, l.partition_positions) as start, l.partition_positions, h.position, h.recorded_at
from harness.head h cross join harness.log l

-- name: partition
-- What a range holds: where its last batch ends, when that was recorded, whether payloads were released, their bytes.
select max(b.position + b.events), max(b.recorded_at), coalesce(bool_or(octet_length(b.payload) = 0), false),
    coalesce(sum(octet_length(b.payload)) filter (where b.kind <> 'control'), 0)::bigint
from harness.batch b where b.position >= %(start)s and b.position < %(stop)s

-- name: release
-- Take the payloads of a partition that is sealed.
select harness.release(%(start)s, %(sealer)s)

-- name: cover
-- Say what is safe in a second failure domain.
select harness.cover(%(position)s)

-- name: blocks
-- What a range holds of one kind, by decision point, in blocks of so many positions.
select b.decision_point, min(b.position), max(b.position + b.events), min(b.recorded_at), max(b.recorded_at), count(*)
from harness.batch b where b.kind = %(kind)s and b.position >= %(start)s and b.position < %(stop)s
group by b.decision_point, b.position / %(positions)s order by 2

-- name: recorded
-- When the batches that hold these positions were recorded, in the same order.
select array_agg((
    select b.recorded_at from harness.batch b where b.position <= p.position order by b.position desc limit 1
) order by p.place) from unnest(%(positions)s::bigint[]) with ordinality p (position, place)

-- name: first_of_schemas
-- Every schema that decisions of a range were recorded with, and where it came first.
select encode(b.schema_digest, 'hex'), min(b.position) from harness.batch b
where b.kind = 'decision' and b.position + b.events > %(start)s and b.position < %(stop)s
    and (%(decision_point)s::text is null or b.decision_point = %(decision_point)s) group by 1 order by 2

-- name: points
-- The decision points of one kind in a range.
select distinct b.decision_point from harness.batch b
where b.kind = %(kind)s and b.position + b.events > %(start)s and b.position < %(stop)s order by 1

-- name: connections
-- How many connections the server admits at once.
select current_setting('max_connections')::integer
