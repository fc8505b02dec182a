-- name: tables
-- What an outbox segment holds: composed batches with their bytes, and the state of the whole outbox as it stands.
create table batch (
    ordinal integer primary key, writer blob not null, sequence integer not null, kind text not null,
    decision_point text not null, schema_digest text not null, events integer not null, occurred_min integer,
    occurred_max integer, digest text not null, composed_at real not null, frames blob not null, payload blob not null
);
create table identity (number integer primary key, writer blob not null unique, sequence integer not null, reason text not null, since real not null);
create table state (
    id integer primary key check (id = 1), composed_segment integer not null, composed_id integer not null,
    last_ordinal integer not null, shipped_ordinal integer not null, inherited_before integer not null, inherited_number integer not null, log_id text not null,
    place text not null
);
create table file (number integer primary key, first_ordinal integer not null, last_ordinal integer not null, end_position integer not null, shipped_at real not null);
create table receipt (
    ordinal integer primary key, writer blob not null, sequence integer not null, epoch integer not null,
    position integer not null, chain text not null, covered integer not null, at real not null
);
create table settled (name text primary key);

-- name: insert_batch
-- Persist a composition with its bytes before they are sent.
insert into batch (ordinal, writer, sequence, kind, decision_point, schema_digest, events, occurred_min, occurred_max, digest, composed_at, frames, payload)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: put_identity
-- How far a shipping writer has composed.
insert or replace into identity (number, writer, sequence, reason, since) values (?, ?, ?, ?, ?)

-- name: put_state
-- Where composing and shipping stand.
insert or replace into state (id, composed_segment, composed_id, last_ordinal, shipped_ordinal, inherited_before, inherited_number, log_id, place) values (1, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: put_file
-- The last batch of a file, and where the log holds it.
insert or replace into file (number, first_ordinal, last_ordinal, end_position, shipped_at) values (?, ?, ?, ?, ?)

-- name: put_receipt
-- The log's word for a batch: a witness of its history.
insert or replace into receipt (ordinal, writer, sequence, epoch, position, chain, covered, at) values (?, ?, ?, ?, ?, ?, ?, ?)

-- name: put_settled
-- A quarantined file that has been counted.
insert or ignore into settled (name) values (?)

-- name: batch
-- One batch.
select ordinal, writer, sequence, kind, decision_point, schema_digest, events, occurred_min, occurred_max, digest, composed_at, frames, payload
from batch where ordinal = ?

-- name: ordinal_of
-- Where a writer's batch stands in the order of shipping; the newest, when it was written again.
select max(ordinal) from batch where writer = ? and sequence = ? having max(ordinal) is not null

-- name: range
-- The first and last batch of a file, null when it has none.
select min(ordinal), max(ordinal) from batch

-- name: identities
-- The shipping writers, oldest first.
select number, writer, sequence, reason, since from identity order by number

-- name: state
-- Where composing and shipping stand.
select composed_segment, composed_id, last_ordinal, shipped_ordinal, inherited_before, inherited_number, log_id, place from state

-- name: state_at
-- Where composing and shipping stood, by its id.
select composed_segment, composed_id, last_ordinal, shipped_ordinal, inherited_before, inherited_number, log_id, place from state where id = ?

-- name: files
-- What is known of the files.
select number, first_ordinal, last_ordinal, end_position, shipped_at from file order by number

-- name: receipts
-- The log's last words.
select ordinal, writer, sequence, epoch, position, chain, covered, at from receipt order by ordinal

-- name: settled
-- Quarantined files that have been counted.
select name from settled

-- name: pending
-- What is not shipped: batches, events, bytes, and the oldest of them.
select count(*), coalesce(sum(events), 0), coalesce(sum(length(payload)), 0), min(composed_at) from batch where ordinal > ?
