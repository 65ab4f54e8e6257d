"""What an asynchronous run says of its cores: load against their limits, queues, losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AsyncReport:
    """Load of cores and host, over all samples.

    Attributes:
        step_s: seconds from the input of one logical step to that of the next.
        overflow: what a full queue does, "stall" or "drop".
        slot: [cores] place on the chip.
        layers: [cores] what each holds.
        seconds: [samples] length.
        settle: [samples] seconds from the last event of the input to the last happening.
        synops: [cores] synaptic operations done.
        peak: [cores] most synaptic operations that were asked for within one step, per second.
        limit: [cores] synaptic operations per second that the core can do; NaN: nobody says.
        busy: [cores] seconds of looking up, accumulating and sending.
        stalled: [cores + 1] seconds that cores, and last the host, waited for full queues.
        high_water: [cores] most packets that waited at once.
        dropped: [cores] packets lost at the queue.
    """

    step_s: float
    overflow: str
    slot: Int64
    layers: tuple[str, ...]
    seconds: Float64
    settle: Float64
    synops: Int64
    peak: Float64
    limit: Float64
    busy: Float64
    stalled: Float64
    high_water: Int64
    dropped: Int64

    @property
    def overloaded(self) -> tuple[int, ...]:
        """Cores that were asked for more, within some step, than they can do."""
        return tuple(np.flatnonzero(self.peak > self.limit).tolist())

    def notes(self) -> tuple[str, ...]:
        """Overload and losses in words."""
        found = [
            f"core {self.slot[c]} ({self.layers[c]}) is overloaded: {self.peak[c]:.3g} synaptic "
            f"operations per second asked for in one step, {self.limit[c]:.3g} possible"
            for c in self.overloaded
        ]
        if self.dropped.any():
            found.append(f"{int(self.dropped.sum())} packets were lost at full queues")
        if self.stalled.any():
            found.append(f"senders waited {self.stalled.sum():.3g} s for full queues")
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """JSON values; docs/cycle-simulator.md lists them."""
        total = float(self.seconds.sum())
        return {
            "step_s": self.step_s,
            "overflow": self.overflow,
            "settle_s": {"mean": float(self.settle.mean()), "max": float(self.settle.max())},
            "host_stalled_s": float(self.stalled[-1]),
            "dropped_packets": int(self.dropped.sum()),
            "overloaded_cores": [int(self.slot[c]) for c in self.overloaded],
            "cores": [
                {
                    "core": int(self.slot[c]),
                    "layer": self.layers[c],
                    "synops": int(self.synops[c]),
                    "synops_per_s": float(self.synops[c] / total) if total else 0.0,
                    "peak_synops_per_s": float(self.peak[c]),
                    "limit_synops_per_s": None if np.isnan(self.limit[c]) else self.limit[c],
                    "busy_share": float(self.busy[c] / total) if total else 0.0,
                    "stalled_s": float(self.stalled[c]),
                    "queue_high_water": int(self.high_water[c]),
                    "dropped_packets": int(self.dropped[c]),
                }
                for c in range(self.slot.size)
            ],
        }


def joined(reports: Sequence[AsyncReport]) -> AsyncReport | None:
    """Batches of one deployment as one run; None of none."""
    if not reports:
        return None
    first = reports[0]
    return AsyncReport(
        first.step_s,
        first.overflow,
        first.slot,
        first.layers,
        np.concatenate([r.seconds for r in reports]),
        np.concatenate([r.settle for r in reports]),
        np.sum([r.synops for r in reports], axis=0),
        np.max([r.peak for r in reports], axis=0),
        first.limit,
        np.sum([r.busy for r in reports], axis=0),
        np.sum([r.stalled for r in reports], axis=0),
        np.max([r.high_water for r in reports], axis=0),
        np.sum([r.dropped for r in reports], axis=0),
    )
