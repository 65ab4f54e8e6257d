"""``--deadline``: whether every sample is done in time on the chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.ir.arrays import RealArray
from snnc.ir.errors import OptionError


@dataclass(frozen=True)
class Deadline:
    """Seconds on the chip that a sample may take, from its load phase to its last tick."""

    seconds: float

    @staticmethod
    def of(seconds: float | None, backend: str) -> Deadline | None:
        """The deadline asked for, if any.

        Raises:
            OptionError: it is not positive, or the backend knows no time of the chip.
        """
        if seconds is None:
            return None
        if not 0 < seconds < float("inf"):
            raise OptionError(
                "must be positive", where="--deadline", found=seconds, allowed="seconds above 0"
            )
        if backend != "cycle":
            raise OptionError(
                "only the cycle simulator knows the chip's time",
                where="--deadline",
                found=f"--backend {backend}",
                allowed="--backend cycle",
            )
        return Deadline(seconds)

    def verdict(self, latencies: RealArray) -> dict[str, Any]:
        """The field ``deadline`` of ``snnc-run/1``."""
        late = np.flatnonzero(latencies > self.seconds)
        return {
            "deadline_s": self.seconds,
            "met": not late.size,
            "missed": int(late.size),
            "first_missed": int(late[0]) if late.size else None,
            "slack_s": float(self.seconds - latencies.max()),
        }
