-- What of segments the operator may do. harness.restore_batch stays the owner's: it is for a restored database alone.
grant execute on function harness.release(bigint, uuid) to harness_operator;
grant execute on function harness.cover(bigint) to harness_operator;
