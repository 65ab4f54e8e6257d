"""Time and energy of an endless run, added up window by window in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnc.simulators.cycle.result import CycleResult

RECENT = 100
"""Windows whose time and energy are listed one by one."""

_UNPRICED = {"kind", "quantity", "count"}


@dataclass
class Account:
    """What a chip did so far; JSON values, so that a checkpoint holds it.

    Attributes:
        noc: how packets moved.
        scope: of the cost table; an ``unpriced`` one gives no joule.
        windows: stretches of ticks, each of which ran when a window of the input came; what runs
            when the input is over is one more.
        ticks, seconds: run, and how long they took on the chip; the load phase is in the seconds.
        dynamic_j, static_j: energy; ``static_j`` is None where the target does not say.
        slowest_tick_cycles: the longest tick without the barrier.
        window_seconds, window_dynamic_j: least and most of a window.
        recent_seconds, recent_dynamic_j: of the last ``RECENT`` windows.
        events: by kind.
        peaks: fullest queues so far, and cycles that sweeps waited.
    """

    noc: str = ""
    scope: str = ""
    windows: int = 0
    ticks: int = 0
    seconds: float = 0.0
    dynamic_j: float = 0.0
    static_j: float | None = 0.0
    slowest_tick_cycles: float = 0.0
    window_seconds: dict[str, float] = field(default_factory=dict)
    window_dynamic_j: dict[str, float] = field(default_factory=dict)
    recent_seconds: list[float] = field(default_factory=list)
    recent_dynamic_j: list[float] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    dynamic_j_by_kind: dict[str, float] = field(default_factory=dict)
    dynamic_j_by_layer: dict[str, float] = field(default_factory=dict)
    packets: int = 0
    hops: int = 0
    stray_inputs: int = 0
    deadline_misses: int = 0
    limited_by: dict[str, int] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    unpriced: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, window: CycleResult) -> None:
        """Take over the ticks of one window."""
        timing = window.timing
        assert timing is not None  # a stream always has a clock
        seconds, joule = float(timing.seconds[0]), float(window.energy.dynamic[0])
        self.noc, self.scope = timing.noc, window.energy.scope
        self.windows += 1
        self.ticks += window.ticks
        self.seconds += seconds
        self.dynamic_j += joule
        static = window.energy.static
        if static is None or self.static_j is None:
            self.static_j = None
        else:
            self.static_j += float(static[0])
        slowest = float(np.nanmax(timing.tick_cycles))
        self.slowest_tick_cycles = max(self.slowest_tick_cycles, slowest)
        for spread, recent, value in (
            (self.window_seconds, self.recent_seconds, seconds),
            (self.window_dynamic_j, self.recent_dynamic_j, joule),
        ):
            spread["min"] = min(spread.get("min", value), value)
            spread["max"] = max(spread.get("max", value), value)
            recent.append(value)
            del recent[:-RECENT]
        for mine, more in (
            (self.events, window.counts),
            (self.limited_by, timing.limited_by),
            (self.limits, timing.limits),
        ):
            _add(mine, more)
        _add(self.dynamic_j_by_kind, window.energy.by_kind)
        _add(self.dynamic_j_by_layer, window.energy.by_layer)
        self.packets += window.packets
        self.hops += window.hops
        self.stray_inputs += window.stray_inputs
        self.deadline_misses += timing.deadline_misses
        self.peaks = {
            "channel_queue": timing.peak_channel_queue,
            "injection_queue": timing.peak_injection_queue,
            "receive_queue": timing.peak_receive_queue,
            "stall_cycles": timing.stall_cycles,
        }
        found = {(entry["kind"], entry["quantity"]): entry for entry in self.unpriced}
        for more_unpriced in window.unpriced:
            key = (more_unpriced.kind, more_unpriced.quantity)
            entry = found.setdefault(key, {"kind": key[0], "quantity": key[1], "count": 0})
            # Static power is unknown once per chip, however long it runs.
            count = more_unpriced.count
            entry["count"] = count if key[1] == "power" else entry["count"] + count
        self.unpriced = list(found.values())
        self.notes = list(window.notes)

    @staticmethod
    def read(told: Any) -> Account | None:
        """An account from the values of a checkpoint; None when they are none."""
        try:
            account = Account(**told)
        except TypeError:
            return None
        plain = {**vars(account), "static_j": account.static_j or 0.0}
        listed = account.unpriced if isinstance(account.unpriced, list) else [None]
        unpriced = all(isinstance(e, dict) and set(e) == _UNPRICED for e in listed)
        sound = all(_like(plain[name], value) for name, value in vars(Account()).items())
        return account if sound and unpriced else None

    def as_dict(self) -> dict[str, Any]:
        """JSON values; spreads with their mean, null where nothing ran."""
        told = dict(vars(self))
        count = max(1, self.windows)
        told["window_seconds"] = self.window_seconds | {"mean": self.seconds / count}
        told["window_dynamic_j"] = self.window_dynamic_j | {"mean": self.dynamic_j / count}
        if not self.windows:
            told |= dict.fromkeys(("window_seconds", "window_dynamic_j"))
        if self.scope == "unpriced":
            told |= dict.fromkeys(("dynamic_j", "window_dynamic_j"))
            told |= {"recent_dynamic_j": [], "dynamic_j_by_layer": {}}
        return told


def _like(value: Any, example: Any) -> bool:
    """Whether a value has the type of the example, and its numbers are possible."""
    if isinstance(example, dict):
        return isinstance(value, dict) and all(_like(each, 0.0) for each in value.values())
    if isinstance(example, (list, str)):
        return isinstance(value, type(example))
    allowed = (int,) if isinstance(example, int) else (int, float)
    return type(value) in allowed and 0 <= value < float("inf")


def _add(mine: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        mine[name] = mine.get(name, 0) + value
