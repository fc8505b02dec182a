-- harness.batch: the log. Append-only; position is that of the first event; digest is of the payload, chain is of the
-- whole history up to and with this batch. Payloads are compressed already, so that TOAST must not try again.
create table harness.batch (
    position bigint not null check (position >= 1),
    events integer not null check (events between 1 and 1000000),
    kind text not null check (kind in ('decision', 'outcome', 'score', 'control')),
    decision_point text not null check (octet_length(decision_point) <= 200),
    schema_digest bytea not null check (octet_length(schema_digest) = 32),
    writer uuid not null,
    sequence bigint not null check (sequence >= 1),
    occurred_min timestamptz,
    occurred_max timestamptz,
    recorded_at timestamptz not null,
    digest bytea not null check (octet_length(digest) = 32),
    chain bytea not null check (octet_length(chain) = 32),
    payload bytea not null,
    check ((occurred_min is null) = (occurred_max is null)),
    check (occurred_min <= occurred_max)
) partition by range (position);

alter table harness.batch alter column payload set storage external;
alter table harness.batch add constraint batch_pkey primary key (position);
-- Any older sequence of a writer stays findable: without it a cloned writer's batches would pass as duplicates.
create unique index batch_writer on harness.batch (writer, sequence, position);
-- Ranges of one kind and decision point, and all control events, without walking the batches of the others.
create index batch_kind on harness.batch (kind, decision_point, position);
