-- harness.append: the only way into the log. All or nothing: a gapless position, one link of the chain, the writer's
-- high-water mark. The head row is always locked first, so that two appends can never wait for each other, also when
-- one transaction makes several. Refusals have SQLSTATEs of their own and their values as JSON in the detail:
-- HA001 writer forked, HA002 sequence gap, HA003 rewound, HA004 wrong log, HA005 corrupt batch, HA006 event ahead of
-- the server's clock; 57P03 while the log is recovered. Since 0004 the clock is asked last, of what is about to be
-- stored: a batch that the log has was refused as ahead once the clock had been set back, and its shipper, whom the
-- first reply had not reached, took its events out and sent the rest under a sequence that was not free
-- (docs/adr/0102). What a batch and its author may be has functions of its own.
create or replace function harness.append(
    _log_id uuid, _kind text, _decision_point text, _schema_digest bytea, _writer uuid, _sequence bigint,
    _acked bigint, _events integer, _occurred_min timestamptz, _occurred_max timestamptz, _digest bytea, _payload bytea,
    out stored_epoch integer, out stored_position bigint, out stored_chain bytea, out covered_position bigint,
    out is_duplicate boolean
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    _log harness.log%rowtype;
    _head harness.head%rowtype;
    _old record;
    _have bigint;
    _recorded_at timestamptz;
begin
    select l.* into _log from harness.log l;
    if not found or _log_id <> _log.log_id then
        raise exception 'Wrong log: expected %, found %.', _log_id, _log.log_id
            using errcode = 'HA004', detail = json_build_object('expected', _log_id, 'found', _log.log_id);
    end if;
    perform harness.check_batch(_kind, _decision_point, _schema_digest, _sequence, _events,
        _occurred_min, _occurred_max, _digest, _payload);
    perform harness.check_author(_kind, _payload);

    select h.* into strict _head from harness.head h for update;
    -- Once more, now that nobody else can move it: a recovery may have ended while this append waited for the head.
    select l.* into strict _log from harness.log l;
    if _log.fenced then
        raise exception 'The log is being recovered after a restore.' using errcode = 'cannot_connect_now';
    end if;
    select w.sequence into _have from harness.writer w where w.writer = _writer;
    _have := coalesce(_have, 0);
    stored_epoch := _log.epoch;
    covered_position := _log.covered;
    is_duplicate := _sequence <= _have;
    if is_duplicate then
        select b.position, b.chain, encode(b.digest, 'hex') as digest, (b.digest, b.kind, b.decision_point, b.schema_digest, b.events)
                = (_digest, _kind, _decision_point, _schema_digest, _events)
                and (b.occurred_min, b.occurred_max) is not distinct from (_occurred_min, _occurred_max) as same
            into _old from harness.batch b where b.writer = _writer and b.sequence = _sequence;
        if not coalesce(_old.same, false) then
            raise exception 'Writer % forked at sequence %.', _writer, _sequence using errcode = 'HA001',
                detail = json_build_object('writer', _writer, 'sequence', _sequence, 'stored', _old.digest,
                    'sent', encode(_digest, 'hex'));
        end if;
        stored_position := _old.position;
        stored_chain := _old.chain;
        return;
    end if;
    if _sequence > _have + 1 then
        raise exception 'Writer % has %, got %.', _writer, _have, _sequence
            using errcode = case when _have < _acked then 'HA003' else 'HA002' end,
                detail = json_build_object('writer', _writer, 'have', _have, 'got', _sequence, 'acked', _acked,
                    'epoch', _log.epoch);
    end if;
    perform harness.check_ahead(_log.clock, _occurred_max);

    stored_position := _head.position + 1;
    _recorded_at := greatest(_head.recorded_at,
        case _log.clock when 'event' then _occurred_max else clock_timestamp() end);
    stored_chain := sha256(_head.chain || harness.header(stored_position, _events, _kind, _decision_point,
        _schema_digest, _writer, _sequence, _occurred_min, _occurred_max, _recorded_at) || _digest);
    -- One whole partition is always ready beyond the one in use.
    while _head.partition_stop - (_head.position + _events) <= _log.partition_positions loop
        _head.partition_stop := harness.add_partition(_head.partition_stop, _log.partition_positions);
    end loop;
    insert into harness.batch (position, events, kind, decision_point, schema_digest, writer, sequence, occurred_min,
            occurred_max, recorded_at, digest, chain, payload)
        values (stored_position, _events, _kind, _decision_point, _schema_digest, _writer, _sequence, _occurred_min,
            _occurred_max, _recorded_at, _digest, stored_chain, _payload);
    insert into harness.writer as w (writer, sequence) values (_writer, _sequence)
        on conflict (writer) do update set sequence = excluded.sequence;
    update harness.head set position = _head.position + _events, chain = stored_chain, recorded_at = _recorded_at,
        partition_stop = _head.partition_stop;
end
$$;
revoke all on function harness.append(
    uuid, text, text, bytea, uuid, bigint, bigint, integer, timestamptz, timestamptz, bytea, bytea) from public;
