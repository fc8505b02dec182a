-- harness.check_author: raises insufficient_privilege where a service says what only the harness may say: scores, verdicts,
-- approvals. session_user, because inside a definer function current_user is its owner.
create function harness.check_author(_kind text, _payload bytea) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if _kind in ('score', 'control')
        and not pg_has_role(session_user, 'harness_operator', 'MEMBER')
        and not pg_has_role(session_user, 'harness_owner', 'MEMBER')
        and (_kind = 'score' or (convert_from(_payload, 'UTF8')::jsonb ->> 'type') not like 'recorder.%') then
        raise exception '% may not append a batch of kind %.', session_user, _kind using errcode = 'insufficient_privilege';
    end if;
end
$$;
revoke all on function harness.check_author(text, bytea) from public;
