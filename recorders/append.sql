-- Give one batch to the log; the answer is where it is stored. Binary placeholders: bytes travel as bytes, not as hexadecimal text.
select stored_epoch, stored_position, stored_chain, covered_position, is_duplicate
from harness.append(
    %(log_id)s::uuid, %(kind)s::text, %(decision_point)s::text, %(schema_digest)b::bytea, %(writer)s::uuid,
    %(sequence)s::bigint, %(acked)s::bigint, %(events)s::integer, %(occurred_min)s::timestamptz,
    %(occurred_max)s::timestamptz, %(digest)b::bytea, %(payload)b::bytea)
