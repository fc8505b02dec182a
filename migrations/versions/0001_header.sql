-- harness.header: the canonical bytes of a batch's header. Every field has a fixed width or its length before it, so
-- that no two headers share their bytes. Times are microseconds since 2000-01-01 UTC. harness/log/chain.py has its twin.
create function harness.header(
    "position" bigint, events integer, kind text, decision_point text, schema_digest bytea, writer uuid,
    sequence bigint, occurred_min timestamptz, occurred_max timestamptz, recorded_at timestamptz
) returns bytea
language sql immutable parallel safe
begin atomic
    select pg_catalog.int8send($1)
        || pg_catalog.int4send($2)
        || pg_catalog.int4send(pg_catalog.octet_length($3)) || pg_catalog.convert_to($3, 'UTF8')
        || pg_catalog.int4send(pg_catalog.octet_length($4)) || pg_catalog.convert_to($4, 'UTF8')
        || pg_catalog.int4send(pg_catalog.octet_length($5)) || $5
        || pg_catalog.uuid_send($6)
        || pg_catalog.int8send($7)
        || coalesce('\x01'::bytea || pg_catalog.timestamptz_send($8), '\x00'::bytea)
        || coalesce('\x01'::bytea || pg_catalog.timestamptz_send($9), '\x00'::bytea)
        || pg_catalog.timestamptz_send($10);
end;
revoke all on function harness.header(
    bigint, integer, text, text, bytea, uuid, bigint, timestamptz, timestamptz, timestamptz) from public;
