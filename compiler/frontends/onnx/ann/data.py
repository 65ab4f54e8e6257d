"""What the conversion of an ANN needs to see of typical data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.nodes import Input


@dataclass(frozen=True, eq=False)
class Samples:
    """Typical data.

    Attributes:
        values: real values [samples, *shape] by input name, without time.
        labels: classes [samples], if known.
        timesteps: steps per sample, where the data or the user says.
    """

    values: Mapping[str, RealArray]
    labels: IntArray | None = None
    timesteps: int | None = None


DataSource = Callable[[Sequence[Input]], Samples | None]


def no_data(_: Sequence[Input]) -> Samples | None:
    """For callers without data."""
    return None
