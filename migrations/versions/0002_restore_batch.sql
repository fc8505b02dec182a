-- harness.restore_batch: takes back, after a restore, a batch that the log had and that a segment kept: at its position,
-- with its time, its digest and its link of the chain, or not at all. For the owner alone.
create function harness.restore_batch(
    _position bigint, _events integer, _kind text, _decision_point text, _schema_digest bytea, _writer uuid,
    _sequence bigint, _occurred_min timestamptz, _occurred_max timestamptz, _recorded_at timestamptz, _digest bytea,
    _chain bytea, _payload bytea
) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    _head harness.head%rowtype;
    _positions bigint;
    _reason text;
begin
    perform harness.check_batch(_kind, _decision_point, _schema_digest, _sequence, _events, _occurred_min,
        _occurred_max, _digest, _payload);
    select l.partition_positions into strict _positions from harness.log l;
    select h.* into strict _head from harness.head h for update;
    _reason := case
        when _position <> _head.position + 1 then format('the log ends at %s', _head.position)
        when _recorded_at < _head.recorded_at then 'its time is before that of the log'
        when _chain <> sha256(_head.chain || harness.header(_position, _events, _kind, _decision_point, _schema_digest,
            _writer, _sequence, _occurred_min, _occurred_max, _recorded_at) || _digest)
            then 'it does not continue the chain'
    end;
    if _reason is not null then
        raise exception 'The batch at % is not restored: %.', _position, _reason
            using errcode = 'HA008', detail = json_build_object('reason', _reason);
    end if;
    while _head.partition_stop - (_head.position + _events) <= _positions loop
        _head.partition_stop := harness.add_partition(_head.partition_stop, _positions);
    end loop;
    insert into harness.batch (position, events, kind, decision_point, schema_digest, writer, sequence, occurred_min,
            occurred_max, recorded_at, digest, chain, payload)
        values (_position, _events, _kind, _decision_point, _schema_digest, _writer, _sequence, _occurred_min,
            _occurred_max, _recorded_at, _digest, _chain, _payload);
    insert into harness.writer as w (writer, sequence) values (_writer, _sequence)
        on conflict (writer) do update set sequence = greatest(w.sequence, excluded.sequence);
    update harness.head set position = _head.position + _events, chain = _chain, recorded_at = _recorded_at,
        partition_stop = _head.partition_stop;
end
$$;
revoke all on function harness.restore_batch(bigint, integer, text, text, bytea, uuid, bigint, timestamptz, timestamptz,
    timestamptz, bytea, bytea, bytea) from public;
