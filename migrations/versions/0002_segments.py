"""Segments: release the payloads of sealed partitions, take lost batches back, say what is covered.

Revision ID: 0002
Revises: 0001
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OBJECTS = ("release", "restore_batch", "cover", "privileges")


def upgrade() -> None:
    for name in OBJECTS:
        text = (Path(__file__).parent / f"{revision}_{name}.sql").read_text(encoding="utf-8")
        op.get_bind().exec_driver_sql(text.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("A log is never taken back. Restore a backup into another database instead.")
