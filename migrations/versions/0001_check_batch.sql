-- harness.check_batch: raises HA005 with the reason when a batch is not what its header says, or is over a limit.
create function harness.check_batch(
    _kind text, _decision_point text, _schema_digest bytea, _sequence bigint, _events integer,
    _occurred_min timestamptz, _occurred_max timestamptz, _digest bytea, _payload bytea
) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    _reason text;
    _event jsonb;
begin
    _reason := case
        when _events is null or _events not between 1 and 1000000 then format('it has %s events (1 to 1000000)', _events)
        when _payload is null or octet_length(_payload) not between 1 and 67108864
            then format('its payload has %s bytes (1 to 67108864)', octet_length(_payload))
        when _digest is null or sha256(_payload) <> _digest then 'its payload is not what its digest names'
        when _schema_digest is null or octet_length(_schema_digest) <> 32 then 'its schema digest is not 32 bytes'
        when _kind is null or _kind not in ('decision', 'outcome', 'score', 'control')
            then format('its kind is %s', quote_nullable(_kind))
        when _decision_point is null or octet_length(_decision_point) > 200 then 'its decision point has no name or over 200 bytes'
        when _sequence is null or _sequence < 1 then format('its sequence is %s', _sequence)
        when (_occurred_min is null) <> (_occurred_max is null) or _occurred_min > _occurred_max
            or not isfinite(_occurred_min) or not isfinite(_occurred_max) then 'its times are not a range'
        when _kind = 'control' and _events <> 1 then 'a control batch holds exactly one event'
    end;
    if _reason is null and _kind = 'control' then
        begin
            _event := convert_from(_payload, 'UTF8')::jsonb;
            if jsonb_typeof(_event) <> 'object' or jsonb_typeof(_event -> 'type') is distinct from 'string'
                or jsonb_typeof(_event -> 'subject') is distinct from 'string' then
                _reason := 'a control event needs a type and a subject';
            end if;
        exception
            -- One unreadable event would break the view harness.control for every reader.
            when data_exception or program_limit_exceeded then _reason := 'a control event is one JSON object';
        end;
    end if;
    if _reason is not null then
        raise exception 'Corrupt batch: %.', _reason using errcode = 'HA005', detail = json_build_object('reason', _reason);
    end if;
end
$$;
revoke all on function harness.check_batch(
    text, text, bytea, bigint, integer, timestamptz, timestamptz, bytea, bytea) from public;
