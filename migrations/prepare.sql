-- What must exist before the first revision: the roles (they belong to the cluster, not to one database), the schema,
-- and the rights that PUBLIC has by default and that would let a recorder divert harness.append into its own tables.
do $$
declare
    role_name text;
    modern boolean := pg_catalog.current_setting('server_version_num')::int >= 160000;
begin
    foreach role_name in array array['harness_owner', 'harness_recorder', 'harness_reader', 'harness_operator'] loop
        if not exists (select from pg_catalog.pg_roles r where r.rolname = role_name) then
            begin
                execute pg_catalog.format('create role %I nologin', role_name);
            exception
                -- Another database of this cluster is being prepared at this moment, under another advisory lock.
                when duplicate_object or unique_violation then null;
            end;
        end if;
    end loop;
    -- Since 16 who makes a role is a member that may administer it, and nothing else: to become it takes SET.
    if not pg_catalog.pg_has_role(current_user, 'harness_owner', case when modern then 'SET' else 'MEMBER' end) then
        execute pg_catalog.format('grant harness_owner to %I', current_user)
            || case when modern then ' with set true, inherit true' else '' end;
    end if;
    execute pg_catalog.format('revoke temporary, create on database %I from public', pg_catalog.current_database());
    if pg_catalog.to_regnamespace('public') is not null then
        revoke create on schema public from public;
    end if;
    if pg_catalog.to_regnamespace('harness') is null then
        create schema harness;
        alter schema harness owner to harness_owner;
    end if;
end
$$;
