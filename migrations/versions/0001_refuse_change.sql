-- harness.refuse_change: the trigger that keeps a batch as it is. It costs an insert nothing: it fires on change alone.
create function harness.refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '% on %.% is refused. Batches are only ever appended. Append a correction instead.',
        tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
revoke all on function harness.refuse_change() from public;

-- Row triggers reach every partition, also those that are attached later; truncate triggers do not (add_partition).
create trigger refuse_change before update or delete on harness.batch
    for each row execute function harness.refuse_change();
create trigger refuse_truncate before truncate on harness.batch
    for each statement execute function harness.refuse_change();
