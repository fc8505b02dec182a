-- name: tables
-- The keys of subjects, in a schema of their own that nobody who reads or writes the log has any right on. A destroyed
-- key leaves its id and tag: whose it was can be asked, what it encrypted cannot be read.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['harness_keys_user', 'harness_keys_eraser'] loop
        if not exists (select from pg_catalog.pg_roles r where r.rolname = role_name) then
            execute pg_catalog.format('create role %I nologin', role_name);
        end if;
    end loop;
end
$$;
create schema if not exists harness_keys;
create table if not exists harness_keys.pepper (
    singleton boolean primary key default true check (singleton),
    wrapped bytea not null,
    wrapping text not null
);
create table if not exists harness_keys.key (
    key_id bytea primary key check (octet_length(key_id) = 16),
    tag bytea not null check (octet_length(tag) = 16),
    wrapped bytea,
    wrapping text,
    created_at timestamptz not null default now(),
    destroyed_at timestamptz,
    check ((wrapped is null) = (destroyed_at is not null)),
    check ((wrapped is null) = (wrapping is null))
);
create unique index if not exists key_live on harness_keys.key (tag) where wrapped is not null;
create index if not exists key_tag on harness_keys.key (tag);
grant usage on schema harness_keys to harness_keys_user, harness_keys_eraser;
grant select, insert on harness_keys.key, harness_keys.pepper to harness_keys_user, harness_keys_eraser;
grant update on harness_keys.key, harness_keys.pepper to harness_keys_eraser

-- name: pepper
-- What tags are made with.
select wrapped, wrapping from harness_keys.pepper

-- name: add_pepper
-- Give a new store its pepper; of two at once the first counts.
insert into harness_keys.pepper (wrapped, wrapping) values (%(wrapped)s, %(wrapping)s) on conflict do nothing

-- name: add
-- Add keys for tags that have none that lives; none at all for who does not know how the pepper is wrapped by now:
-- whoever wraps with what was given up would make keys that nobody opens once it is destroyed.
insert into harness_keys.key (key_id, tag, wrapped, wrapping)
select n.key_id, n.tag, n.wrapped, %(wrapping)s
from unnest(%(ids)s::bytea[], %(tags)s::bytea[], %(wrapped)s::bytea[]) as n (key_id, tag, wrapped)
where exists (select from harness_keys.pepper p where p.wrapping = any(%(known)s::text[]))
on conflict (tag) where wrapped is not null do nothing

-- name: live
-- The living keys of tags.
select tag, key_id, wrapped, wrapping from harness_keys.key where tag = any(%(tags)s) and wrapped is not null

-- name: by_id
-- The living keys of these ids.
select key_id, wrapped, wrapping from harness_keys.key where key_id = any(%(ids)s) and wrapped is not null

-- name: of_tag
-- Every key that a subject ever had.
select key_id, destroyed_at is not null from harness_keys.key where tag = %(tag)s order by created_at, key_id

-- name: destroy
-- Destroy keys; a second time changes nothing.
update harness_keys.key set wrapped = null, wrapping = null, destroyed_at = now()
where key_id = any(%(ids)s) and wrapped is not null

-- name: wrapped_otherwise
-- Living keys that are not wrapped with the present key, some at a time.
select key_id, wrapped, wrapping from harness_keys.key where wrapping <> %(wrapping)s order by key_id limit 1000

-- name: count_otherwise
-- How many living keys are not wrapped with the present key.
select count(*) from harness_keys.key where wrapping <> %(wrapping)s

-- name: await_adding
-- Wait until whoever is adding keys has ended; who begins later sees how the pepper is wrapped by now.
lock table harness_keys.key in share row exclusive mode

-- name: rewrap
-- Wrap a living key with another.
update harness_keys.key set wrapped = %(wrapped)s, wrapping = %(wrapping)s
where key_id = %(id)s and wrapped is not null

-- name: rewrap_pepper
-- Wrap the pepper with another key.
update harness_keys.pepper set wrapped = %(wrapped)s, wrapping = %(wrapping)s
