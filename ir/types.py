"""Value types of the tensors that flow on the edges of an integer network.

======== ============================ =============================================
name     integer range                meaning
======== ============================ =============================================
bin      {0, 1}                       a spike or none
tern     {-1, 0, 1}                   a signed spike or none
cnt(D)   {0 .. D}                     up to D spikes in one step
scnt(D)  {-D .. D}                    signed count
int(b)   two's complement, b bits     a current, sum or membrane
frame    {0 .. 255}                   an analog 8-bit input value
======== ============================ =============================================

Every type carries a ``grid``: real value = grid x integer, one number for the tensor or one per
channel (first axis).  ``bin``, ``tern``, ``cnt`` and ``scnt`` are *event* types: zero is silence
and costs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from snnc.ir.errors import ModelError

Kind = Literal["bin", "tern", "cnt", "scnt", "int", "frame"]
_PATTERN = re.compile(r"(bin|tern|frame|cnt|scnt|int)(?:\((\d{1,9})\))?")


@dataclass(frozen=True)
class ValueType:
    """One row of the table above; ``parameter`` is D for counts and b for int, else 0."""

    kind: Kind
    parameter: int = 0
    grid: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        wants = self.kind in ("cnt", "scnt", "int")
        if wants != (self.parameter > 0) or (self.kind == "int" and self.parameter > 63):
            raise ModelError(
                "malformed value type", where=self.kind, found=f"parameter {self.parameter}"
            )
        if not self.grid or not all(step > 0 for step in self.grid):
            raise ModelError("a grid step must be positive", where=str(self), found=self.grid)

    @property
    def high(self) -> int:
        """Largest integer of the type."""
        if self.kind == "int":
            return (1 << (self.parameter - 1)) - 1
        return {"bin": 1, "tern": 1, "frame": 255}.get(self.kind, self.parameter)

    @property
    def low(self) -> int:
        """Smallest integer of the type."""
        if self.kind == "int":
            return -(1 << (self.parameter - 1))
        return -self.high if self.kind in ("tern", "scnt") else 0

    @property
    def is_event(self) -> bool:
        """True when zero means silence."""
        return self.kind in ("bin", "tern", "cnt", "scnt")

    @property
    def magnitude(self) -> int:
        """Largest absolute value."""
        return max(self.high, -self.low)

    def __str__(self) -> str:
        return f"{self.kind}({self.parameter})" if self.parameter else self.kind

    @staticmethod
    def parse(text: str, grid: tuple[float, ...] = (1.0,)) -> ValueType:
        """Inverse of ``str``: ``"bin"``, ``"cnt(4)"``, ``"int(24)"``."""
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ModelError("unknown value type", where=text, allowed="see snnc.ir.types")
        kind: Kind = match.group(1)  # type: ignore[assignment]
        return ValueType(kind, int(match.group(2) or 0), grid)


BIN = ValueType("bin")


def events(low: int, high: int, grid: tuple[float, ...] = (1.0,)) -> ValueType:
    """Narrowest event type that holds every integer of [low, high]."""
    if low >= 0:
        return ValueType("bin", 0, grid) if high <= 1 else ValueType("cnt", high, grid)
    bound = max(high, -low)
    return ValueType("tern", 0, grid) if bound == 1 else ValueType("scnt", bound, grid)


def signed_integer(magnitude: int, grid: tuple[float, ...] = (1.0,)) -> ValueType:
    """Narrowest ``int(b)`` that holds [-magnitude, magnitude]."""
    return ValueType("int", max(2, int(magnitude).bit_length() + 1), grid)
