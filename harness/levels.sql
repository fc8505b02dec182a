-- name: table
-- Levels with how often each occurred, in a file of its own that goes with the connection.
create table level (name text primary key, times integer not null) without rowid

-- name: add
-- Count one level so many times more.
insert into level values (?, ?) on conflict (name) do update set times = times + excluded.times

-- name: largest
-- The levels that occur most; those of one count in the order of their characters.
select name, times from level order by times desc, name limit ?
