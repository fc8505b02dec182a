"""Challengers in processes of their own: what they do there costs rows, and never another's."""

from replay.isolation.account import Account
from replay.isolation.isolated import Alone, IsolatedModel
from replay.isolation.limits import Limits
from replay.isolation.opening import open_isolated
from replay.isolation.remembering import RememberingModel

__all__ = ["Account", "Alone", "IsolatedModel", "Limits", "RememberingModel", "open_isolated"]
