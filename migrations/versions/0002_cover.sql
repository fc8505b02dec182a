-- harness.cover: says up to which position the log is safe in a second failure domain, and returns it. It never goes
-- back, and never beyond the end: writers let go of what is covered.
create function harness.cover(_position bigint) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
begin atomic
    update harness.log set covered = greatest(covered, least($1, (select h.position from harness.head h)))
        returning covered;
end;
revoke all on function harness.cover(bigint) from public;
