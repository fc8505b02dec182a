"""Order: what the log has is answered for before its clock is asked; two checks are functions of their own.

Revision ID: 0004
Revises: 0003
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OBJECTS = ("check_author", "check_ahead", "append")


def upgrade() -> None:
    for name in OBJECTS:
        text = (Path(__file__).parent / f"{revision}_{name}.sql").read_text(encoding="utf-8")
        op.get_bind().exec_driver_sql(text.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("A log is never taken back. Restore a backup into another database instead.")
