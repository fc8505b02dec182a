"""Challengers in processes of their own: what they do there costs rows, and never another's."""

from replay.isolation.account import Account
from replay.isolation.isolated import IsolatedModel, open_isolated
from replay.isolation.limits import Limits

__all__ = ["Account", "IsolatedModel", "Limits", "open_isolated"]
