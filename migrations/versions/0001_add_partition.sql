-- harness.add_partition: makes the next range of positions ready and returns where it stops. A table of its own is
-- attached, because CREATE TABLE ... PARTITION OF would lock readers out of the whole log. Nobody is granted anything
-- on it: reading goes through harness.batch.
create function harness.add_partition(_start bigint, _positions bigint) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    _name text := format('batch_%s', lpad(_start::text, 19, '0'));
begin
    execute format('create table harness.%I'
        ' (like harness.batch including defaults including constraints including storage)', _name);
    execute format('create trigger refuse_truncate before truncate on harness.%I'
        ' for each statement execute function harness.refuse_change()', _name);
    execute format('alter table harness.batch attach partition harness.%I for values from (%s) to (%s)',
        _name, _start, _start + _positions);
    return _start + _positions;
end
$$;
revoke all on function harness.add_partition(bigint, bigint) from public;
