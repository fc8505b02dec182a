"""Recovery: a fence while a restored log is recovered, and where each epoch begins.

Revision ID: 0003
Revises: 0002
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OBJECTS = ("log", "epoch", "append", "privileges")


def upgrade() -> None:
    for name in OBJECTS:
        text = (Path(__file__).parent / f"{revision}_{name}.sql").read_text(encoding="utf-8")
        op.get_bind().exec_driver_sql(text.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("A log is never taken back. Restore a backup into another database instead.")
