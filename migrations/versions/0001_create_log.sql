-- harness.create_log: gives the empty schema its identity, its clock and its first partitions; a second call changes
-- nothing. An event log begins in 1970: its time is that of its events, and history may be old.
create function harness.create_log(_log_id uuid, _clock text, _partition_positions bigint) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    _created_at timestamptz := clock_timestamp();
    _stop bigint := 1;
begin
    insert into harness.log (log_id, clock, partition_positions, created_at)
        values (_log_id, _clock, _partition_positions, _created_at)
        on conflict do nothing;
    if not found then
        return false;
    end if;
    _stop := harness.add_partition(_stop, _partition_positions);
    _stop := harness.add_partition(_stop, _partition_positions);
    insert into harness.head (position, chain, recorded_at, partition_stop)
        values (0, sha256(convert_to('harness.log/1', 'UTF8') || uuid_send(_log_id) || convert_to(_clock, 'UTF8')),
            case _clock when 'event' then to_timestamp(0) else _created_at end, _stop);
    return true;
end
$$;
revoke all on function harness.create_log(uuid, text, bigint) from public;
