"""Wire codes: how a count crosses a chip whose packets say little.

A sender spreads the count of one logical step over ``slots`` ticks.  What arrives in slot ``d`` is
multiplied by the synapses; the sum over all slots is the count, so ``sum_d W p_d = W c`` exactly,
in any order, and the receiver updates once, after the last slot.

======== =============== ================================= =====================
kind     slots           what arrives in slot d            packets for a count c
======== =============== ================================= =====================
burst    1               c                                 abs(c), in one tick
graded   1               c                                 1, with payload
unary    D               sign(c) while d < abs(c)          abs(c)
bitplane ceil(log2(D+1)) sign(c) 2^d if bit d of abs(c)    ones in abs(c)
======== =============== ================================= =====================

``pair``: a negative pulse goes to a second axon whose row holds the negated weights, on machines
whose packets have no sign.  ``refire``: the neuron has one threshold and counts by firing again in
the following slots, without leak, input and bias (unary only).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.errors import ModelError

WireKind = Literal["burst", "graded", "unary", "bitplane"]
SLOTTED: tuple[WireKind, ...] = ("unary", "bitplane")


@dataclass(frozen=True)
class WireCode:
    """How one input or population sends its counts (see the module's docstring)."""

    kind: WireKind
    slots: int = 1
    pair: bool = False
    refire: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.slots < 1 << 20 or (self.slots > 1 and not self.slotted):
            raise ModelError("a wire code of this kind has other slots", found=str(self))
        if self.refire and (self.kind != "unary" or self.pair):
            raise ModelError("only an unsigned unary code counts by firing again", found=str(self))

    @property
    def slotted(self) -> bool:
        """Every slot carries at most one packet per sender and net."""
        return self.kind in SLOTTED

    @property
    def largest(self) -> int | None:
        """Largest magnitude the slots can say; None without slots."""
        if not self.slotted:
            return None
        return self.slots if self.kind == "unary" else (1 << self.slots) - 1

    def pulses(self, count: IntArray) -> Iterator[IntArray]:
        """What arrives in every slot, for an array of counts."""
        if not self.slotted:
            yield count
            return
        sign, size = np.sign(count), np.abs(count)
        for slot in range(self.slots):
            if self.kind == "unary":
                yield sign * (size > slot)
            else:
                yield sign * (size & (1 << slot))

    def packets(self, count: IntArray, limit: int) -> IntArray:
        """Packets per net of counts; ``limit`` is the largest magnitude of one graded packet."""
        size = np.abs(count.astype(np.int64))
        if self.kind == "graded":
            result: IntArray = -(-size // limit)
        elif self.kind == "bitplane":
            result = sum(((size >> slot) & 1 for slot in range(self.slots)), np.zeros_like(size))
        else:
            result = size
        return result


def slots_for(kind: WireKind, magnitude: int) -> int:
    """Slots that a code of this kind takes for counts up to ``magnitude``."""
    if kind == "unary":
        return max(1, magnitude)
    return max(1, magnitude.bit_length()) if kind == "bitplane" else 1


def packet_limit(payload_bits: int, signed: bool) -> int:
    """Largest magnitude one packet can say; without payload a packet says 1.

    A payload of b bits holds up to 2^b - 1, or 2^(b-1) - 1 when one of them is the sign.
    """
    return max(1, (1 << max(0, payload_bits - signed)) - 1)
