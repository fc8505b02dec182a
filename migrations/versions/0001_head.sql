-- harness.head: the end of the log. One row, updated in the appending statement, so that the order of positions is the
-- order of commits. Room is left on its page for in-place updates (a long snapshot stops their pruning).
create table harness.head (
    singleton boolean primary key default true check (singleton),
    position bigint not null check (position >= 0),
    chain bytea not null check (octet_length(chain) = 32),
    recorded_at timestamptz not null,
    partition_stop bigint not null
) with (fillfactor = 10);
