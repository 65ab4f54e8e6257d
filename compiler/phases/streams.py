"""Bytes that cross between phases: spikes that the host keeps and plays in again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import RealArray, size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.types import ValueType


@dataclass(frozen=True)
class Stream:
    """What one input or population sends in a sample.

    Attributes:
        raster_bytes: one entry per neuron and step, enough for any spikes.
        event_bytes: one record (step, neuron, value) per expected packet; None without rates.
    """

    name: str
    raster_bytes: int
    event_bytes: int | None

    @property
    def bytes(self) -> int:
        """The smaller of what is known; what plans are made with."""
        if self.event_bytes is None:
            return self.raster_bytes
        return min(self.raster_bytes, self.event_bytes)


def streams(
    network: IntegerNetwork, steps: int, rates: Mapping[str, RealArray] | None
) -> dict[str, Stream]:
    """The stream of every input and population, for samples of so many steps."""
    result = {}
    for node in network.order:
        if isinstance(node, Neuron) or not node.inputs:
            size, kind = size_of(network.shapes[node.name]), network.types[node.name]
            raster = math.ceil(steps * size * max(1, _bits(kind)) / 8)
            events = None
            if rates is not None and node.name in rates:
                record = _address(steps) + _address(size) + (_bits(kind) if _valued(kind) else 0)
                packets = float(np.sum(rates[node.name]))
                events = math.ceil(round(packets, 6)) * math.ceil(record / 8)
            result[node.name] = Stream(node.name, raster, events)
    return result


def _bits(kind: ValueType) -> int:
    """Width of a value, with its sign."""
    return kind.high.bit_length() + (kind.low < 0)


def _valued(kind: ValueType) -> bool:
    """Whether a record must say more than that there is a spike."""
    return (kind.low, kind.high) != (0, 1)


def _address(count: int) -> int:
    return (count - 1).bit_length()
