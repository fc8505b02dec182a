-- name: tables
-- What a witness keeps: its name, and of each log that it watches the key and the last checkpoint that it cosigned.
create table witness (name text not null);
create table log (
    origin text primary key, key text not null, size integer not null, root blob not null, cosigned_at integer not null
);

-- name: call
-- Give a new witness its name.
insert into witness (name) values (?)

-- name: name
-- What the witness is called.
select name from witness

-- name: trust
-- Watch a log, or believe another key of it; what was seen of it stays.
insert into log (origin, key, size, root, cosigned_at) values (?, ?, 0, ?, 0)
on conflict (origin) do update set key = excluded.key

-- name: all
-- Every log that is watched.
select origin, key, size, root, cosigned_at from log order by origin

-- name: one
-- One log that is watched.
select origin, key, size, root, cosigned_at from log where origin = ?

-- name: cosigned
-- A checkpoint was cosigned: from now on only what continues it is.
update log set size = ?, root = ?, cosigned_at = ? where origin = ?
