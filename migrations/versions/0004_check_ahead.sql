-- harness.check_ahead: raises HA006 when a log of the event clock would take an event that is over a day ahead. The time of
-- a log never goes back: one event of the year 9999 would make it the time of all after it. On the server's clock it
-- harms nobody, and a refusal would hold up the sidecar that has it in its spool.
create function harness.check_ahead(_clock text, _occurred_max timestamptz) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if _clock = 'event' and _occurred_max > statement_timestamp() + interval '1 day' then
        raise exception 'An event of % is ahead of the clock.', _occurred_max using errcode = 'HA006',
            detail = json_build_object('occurred', to_char(_occurred_max at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'clock', to_char(statement_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
    end if;
end
$$;
revoke all on function harness.check_ahead(text, timestamptz) from public;
