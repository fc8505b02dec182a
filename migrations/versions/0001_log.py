"""The log: identity, head, writers, batches, the append function, roles and rights.

Revision ID: 0001
Revises:
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OBJECTS = (
    "log",
    "head",
    "writer",
    "batch",
    "refuse_change",
    "header",
    "add_partition",
    "create_log",
    "check_batch",
    "append",
    "position_at",
    "control",
    "privileges",
)


def upgrade() -> None:
    for name in OBJECTS:
        text = (Path(__file__).parent / f"{revision}_{name}.sql").read_text(encoding="utf-8")
        op.get_bind().exec_driver_sql(text.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("A log is never taken back. Restore a backup into another database instead.")
