-- harness.writer: how far each source of batches has come; the idempotency key is (writer, sequence).
create table harness.writer (
    writer uuid primary key,
    sequence bigint not null check (sequence >= 1)
) with (fillfactor = 50);
