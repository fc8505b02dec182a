"""Limits: every buffer, wait and size of a recorder has a bound, and this is where it stands."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one recorder. What goes over a bound is counted, never kept and never waited for.

    `queue_slots`: events that may wait, per kind; an event of more than 1 KiB takes a slot for each
    KiB begun, so slots bound the memory too. A frame leaves when `frame_events` or `frame_bytes` are
    reached or its first event has waited `linger_s`. After a failed send the next one waits between
    half and all of `backoff_s`, doubled each time up to `backoff_max_s`. Losses are reported at most
    every `loss_every_s`. The kill switch is read every `switch_s`.
    `exit_s` bounds the flush at exit and at SIGTERM.
    """

    queue_slots: int = 65_536
    event_bytes: int = 1_048_576
    text_length: int = 65_536
    list_length: int = 16_384
    frame_events: int = 4_096
    frame_bytes: int = 4_194_304
    linger_s: float = 0.1
    backoff_s: float = 0.1
    backoff_max_s: float = 10.0
    loss_every_s: float = 5.0
    switch_s: float = 1.0
    exit_s: float = 2.0

    def __post_init__(self) -> None:
        """Refuse limits that no recorder can work with: this is a programmer's error."""
        for name in (
            "queue_slots",
            "event_bytes",
            "text_length",
            "list_length",
            "frame_events",
            "frame_bytes",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 < self.backoff_s <= self.backoff_max_s:
            raise ValueError(f"backoff_s is {self.backoff_s}; it must lie in (0, {self.backoff_max_s}]")
