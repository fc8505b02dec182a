-- name: tables
-- What an inbox segment holds: frames as they came, how far each writer is, and what readers need to know of others.
create table frame (
    id integer primary key, writer blob not null, sequence integer not null, kind integer not null,
    decision_point text not null, schema blob not null, events integer not null, digest blob not null,
    received_at real not null, payload blob not null
);
create table mark (id integer primary key, writer blob not null unique, sequence integer not null, seen_at real not null, digests blob not null);
create table feature_set (id integer primary key, digest blob not null unique, canonical blob not null);
create table void (segment integer primary key, last_id integer not null);
create table settled (name text primary key);
create table held (segment integer primary key, last_id integer not null, events integer not null);

-- name: insert_frame
-- Keep one frame.
insert into frame (writer, sequence, kind, decision_point, schema, events, digest, received_at, payload)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: insert_mark
-- Carry how far a writer is into a new segment.
insert into mark (writer, sequence, seen_at, digests) values (?, ?, ?, ?)

-- name: insert_feature_set
-- Keep a feature set for the batches to come.
insert or ignore into feature_set (digest, canonical) values (?, ?)

-- name: insert_void
-- Say that what a frozen segment holds after an id was never acknowledged.
insert or replace into void (segment, last_id) values (?, ?)

-- name: insert_settled
-- Say that a quarantined file has been counted and what could be read of it is kept.
insert or ignore into settled (name) values (?)

-- name: insert_held
-- Say how far a segment went before this one began.
insert into held (segment, last_id, events) values (?, ?, ?)

-- name: tells_held
-- Whether a segment says how far others went; the first ones did not.
select 1 from sqlite_master where type = 'table' and name = 'held'

-- name: held
-- How far the segments went that were there when this one began.
select segment, last_id, events from held

-- name: marks
-- How far each writer was when the segment began.
select writer, sequence, seen_at, digests from mark order by id

-- name: sequences
-- What came since, in order, without the payloads.
select writer, sequence, digest, received_at from frame where id <= ? order by id

-- name: feature_sets
-- All feature sets that the spool knows.
select digest, canonical from feature_set order by id

-- name: voids
-- Frozen segments and the last id in each that counts.
select segment, last_id from void

-- name: settled
-- Quarantined files that have been counted.
select name from settled

-- name: last_id
-- The last frame of a segment, 0 when it has none.
select coalesce(max(id), 0) from frame

-- name: frames
-- Frames after an id, oldest first.
select id, writer, sequence, kind, decision_point, schema, events, digest, payload, received_at
from frame where id > ? and id <= ? order by id

-- name: frame
-- One frame, by its id.
select id, writer, sequence, kind, decision_point, schema, events, digest, payload, received_at from frame where id = ?

-- name: mark
-- One carried mark, by its id.
select writer, sequence, seen_at, digests from mark where id = ?

-- name: feature_set
-- One feature set, by its id.
select digest, canonical from feature_set where id = ?

-- name: census
-- What a segment holds, for people.
select count(*), coalesce(sum(events), 0), coalesce(max(id), 0), min(received_at), max(received_at) from frame where id <= ?

-- name: after
-- How many frames of a segment lie behind an id.
select count(*) from frame where id > ?

-- name: count_marks
-- How many writers a segment carries.
select count(*) from mark
