-- harness.log, while it is recovered: `fenced` says that nothing is appended until the epoch has been raised.
alter table harness.log add column fenced boolean not null default false;
