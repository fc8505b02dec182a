-- Who may do what. recorder: append, and nothing else. reader: read. operator: both, and append what the harness says.
-- Nobody may change or remove a batch. tests/golden/privileges.txt holds what was found by trying.
grant usage on schema harness to harness_recorder, harness_reader, harness_operator;
grant select on harness.log, harness.head, harness.writer, harness.batch, harness.control, harness.alembic_version
    to harness_reader, harness_operator;
grant execute on function harness.position_at(timestamptz) to harness_reader, harness_operator;
grant execute on function harness.header(
    bigint, integer, text, text, bytea, uuid, bigint, timestamptz, timestamptz, timestamptz)
    to harness_reader, harness_operator;
grant execute on function harness.append(
    uuid, text, text, bytea, uuid, bigint, bigint, integer, timestamptz, timestamptz, bytea, bytea)
    to harness_recorder, harness_operator;
