-- harness.position_at: the last position that was recorded at a time or before it, 0 when none was. recorded_at never
-- decreases with position, so that bisection finds it in about 40 index look-ups and needs no index of its own.
create function harness.position_at(_time timestamptz) returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    _low bigint := 0;
    _high bigint;
    _batch record;
begin
    select h.position into strict _high from harness.head h;
    while _low < _high loop
        select b.position, b.events, b.recorded_at into strict _batch
            from harness.batch b where b.position <= (_low + _high + 1) / 2 order by b.position desc limit 1;
        if _batch.recorded_at <= _time then
            _low := _batch.position + _batch.events - 1;
        else
            _high := _batch.position - 1;
        end if;
    end loop;
    return _low;
end
$$;
revoke all on function harness.position_at(timestamptz) from public;
