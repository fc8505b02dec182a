-- harness.release: takes the payloads of a whole partition, once a registration of segments covers it, and returns how
-- many bytes they had. Every header, digest and link of the chain stays, and so do control events: no row is ever
-- removed. The partition is replaced by one without payloads in one transaction; whoever reads it is waited for two
-- seconds. HA007: it may not be released, with the reason in the detail.
create function harness.release(_start bigint, _sealer uuid, out released bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
declare
    _name text := format('batch_%s', lpad(_start::text, 19, '0'));
    _slim text := _name || '_slim';
    _positions bigint;
    _head bigint;
    _end bigint;
    _chain bytea;
    _reason text;
begin
    select l.partition_positions into strict _positions from harness.log l;
    select h.position into strict _head from harness.head h;
    select b.position + b.events, b.chain into _end, _chain from harness.batch b
        where b.position >= _start and b.position < _start + _positions order by b.position desc limit 1;
    _reason := case
        when _start < 1 or (_start - 1) % _positions <> 0 then 'no partition begins there'
        when _head + 1 < _start + _positions then 'it is still being written'
        when _end is null then 'it holds no batch'
        when not exists (
            select from harness.batch r
            cross join lateral (select convert_from(r.payload, 'UTF8')::jsonb -> 'body' as body) e
            join harness.batch l on l.position + l.events = (e.body ->> 'stop')::bigint
                and l.position < (e.body ->> 'stop')::bigint
            where r.writer = _sealer and r.kind = 'control' and (e.body ->> 'stop')::bigint >= _end
                and l.chain = decode(e.body ->> 'chain', 'hex')
        ) then 'no registered segment of this history covers it'
    end;
    if _reason is not null then
        raise exception 'The partition at % is not released: %.', _start, _reason
            using errcode = 'HA007', detail = json_build_object('reason', _reason);
    end if;
    execute format('select coalesce(sum(octet_length(payload)), 0) from harness.%I where kind <> ''control''', _name)
        into released;
    execute format('create table harness.%I'
        ' (like harness.batch including defaults including constraints including storage)', _slim);
    execute format('insert into harness.%I select position, events, kind, decision_point, schema_digest, writer, sequence,'
        ' occurred_min, occurred_max, recorded_at, digest, chain, case kind when ''control'' then payload else '''' end'
        ' from harness.%I', _slim, _name);
    execute format('create trigger refuse_truncate before truncate on harness.%I'
        ' for each statement execute function harness.refuse_change()', _slim);
    execute format('alter table harness.batch detach partition harness.%I', _name);
    execute format('drop table harness.%I', _name);
    execute format('alter table harness.%I rename to %I', _slim, _name);
    execute format('alter table harness.batch attach partition harness.%I for values from (%s) to (%s)',
        _name, _start, _start + _positions);
end
$$;
revoke all on function harness.release(bigint, uuid) from public;
