"""How Alembic reaches the log: on the connection that it is handed, or on the one that is configured.

Two processes that upgrade at once take turns on an advisory lock; the whole upgrade is one transaction.
"""

from pathlib import Path

from alembic import context
from sqlalchemy import Connection

# "harness" as a number: the lock of everybody who changes this schema.
LOCK = 0x6861726E657373


def run(connection: Connection) -> None:
    prepare = (Path(__file__).parent / "prepare.sql").read_text(encoding="utf-8")
    with connection.begin():
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({LOCK})")
        connection.exec_driver_sql(prepare.replace("%", "%%"))
        connection.exec_driver_sql("set local role harness_owner")
        context.configure(
            connection=connection, version_table="alembic_version", version_table_schema="harness"
        )
        with context.begin_transaction():
            context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    from harness.database import engine

    with engine(context.config.get_main_option("sqlalchemy.url") or None).connect() as own:
        run(own)
