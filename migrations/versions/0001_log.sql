-- harness.log: what this log is. One row, written once by harness.create_log; only epoch and covered ever move.
create table harness.log (
    singleton boolean primary key default true check (singleton),
    log_id uuid not null,
    epoch integer not null default 1 check (epoch >= 1),
    clock text not null check (clock in ('server', 'event')),
    covered bigint not null default 0,
    partition_positions bigint not null check (partition_positions >= 1),
    created_at timestamptz not null
);
