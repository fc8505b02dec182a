-- harness.epoch: where each epoch after the first begins. `after` is the last position that it shares with the history
-- before it: what lay beyond was lost when the log was restored from a backup. Only a recovery writes here.
create table harness.epoch (
    epoch integer primary key check (epoch >= 2),
    after bigint not null check (after >= 0)
);
