"""Who hears whom: the copies of every packet, and the axons that each of them reads.

A *reach* is one (send, delivery) pair: a copy of what a source sends, at one core.  Reaches are
numbered by source, then by send, then by delivery.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment, RouteTables
from snnc.ir.errors import UnsupportedError
from snnc.ir.jit import inlined, lean_kernel

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MOST = (1 << 31) - 1
"""Of anything that the emulated chip numbers, in 32 bits each."""


class Reaches(NamedTuple):
    """Which axons hear a source.

    Attributes:
        ptr: [sources + 1] slice of reaches.
        first, last: [reaches] range of axons.
    """

    ptr: Int32
    first: Int32
    last: Int32


class Trees(NamedTuple):
    """Where packets go, for kernels: arrays of ``RouteTables``, which are not copied if int64.

    Attributes:
        send_ptr, send_net: [sources + 1], [sends].
        delivery_ptr, delivery_core: [nets + 1], [deliveries].
    """

    send_ptr: Int64
    send_net: Int64
    delivery_ptr: Int64
    delivery_core: Int64

    @staticmethod
    def of(routes: RouteTables) -> Trees:
        """Of these routes."""
        return Trees(*(np.asarray(getattr(routes, name), np.int64) for name in Trees._fields))


def check_number(what: str, count: int) -> None:
    """Raise ``UnsupportedError`` unless so many things can be numbered."""
    if count > MOST:
        raise UnsupportedError(
            "too large for the emulated chip",
            found=f"{count:,} {what}",
            allowed=f"{MOST:,}",
            remedy="run it on the functional simulator: --backend functional",
        )


def find(deployment: Deployment) -> Reaches:
    """The axons that every copy reads; their sources rise within a core.

    Raises:
        UnsupportedError: there are more than 32 bits can number.
    """
    trees, cores, total = Trees.of(deployment.routes), deployment.cores, deployment.sources.total
    count = count_reaches(deployment.routes)
    check_number("deliveries of the packets of all sources", count)
    first, last = np.empty(count, np.int32), np.empty(count, np.int32)
    ptr = np.zeros(total + 1, np.int32)
    axon_ptr = np.asarray(cores.axon_ptr, np.int64)
    _find(trees, axon_ptr, np.asarray(cores.axon_source, np.int32), ptr, first, last)
    return Reaches(ptr, first, last)


def copies_of(routes: RouteTables) -> tuple[Int32, Int32]:
    """(send, core) of every reach."""
    copies = np.diff(routes.delivery_ptr)[routes.send_net]
    send = np.repeat(np.arange(routes.send_net.size, dtype=np.int32), copies)
    # What a reach's number is ahead of its place among the deliveries.
    ahead = np.cumsum(copies) - copies - routes.delivery_ptr[routes.send_net]
    delivery = np.arange(send.size) - np.repeat(ahead, copies)
    return send, routes.delivery_core[delivery].astype(np.int32)


def count_reaches(routes: RouteTables) -> int:
    """Reaches of all sources."""
    sends = np.bincount(routes.send_net, minlength=routes.nets)
    return int(sends @ np.diff(routes.delivery_ptr))


@lean_kernel
def _find(
    trees: Trees, axon_ptr: Int64, axon_source: Int32, ptr: AnyArray, first: AnyArray, last: Any
) -> None:
    """Look every reach's source up among the axons of its core."""
    reach = 0
    for source in range(ptr.size - 1):
        for send in range(trees.send_ptr[source], trees.send_ptr[source + 1]):
            net = trees.send_net[send]
            for delivery in range(trees.delivery_ptr[net], trees.delivery_ptr[net + 1]):
                core = trees.delivery_core[delivery]
                end = axon_ptr[core + 1]
                axon = _lower(axon_source, axon_ptr[core], end, source)
                first[reach] = axon
                while axon < end and axon_source[axon] == source:
                    axon += 1
                last[reach] = axon
                reach += 1
        ptr[source + 1] = reach


@inlined
def _lower(values: Int32, first: int, last: int, wanted: int) -> int:
    """The first place of a rising slice whose value is not below ``wanted``."""
    low, high = first, last
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low
