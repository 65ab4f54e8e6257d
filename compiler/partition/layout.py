"""Rough places of cores on a square mesh: how far packets are likely to go.

Placement comes after the partition, but which clusters should share a core depends on how far
apart cores will be.  A short annealing of the flows between cores tells it well enough.
"""

from __future__ import annotations

import math

import numpy as np

from snnc.compiler.draws import draw, started
from snnc.compiler.partition.nets import Nets
from snnc.ir.arrays import IntArray, RealArray, sorted_unique
from snnc.ir.jit import lean_kernel
from snnc.ir.row_shapes import pointers

ROUNDS = 40
"""Temperatures, with ``TRIES`` swaps of every core at each."""
TRIES = 20
COLDEST = 1e-3
"""Last temperature, in units of the first."""
MOST_VISITS = 500_000_000
"""Partners of cores that are looked at, about two seconds."""


def layout(
    nets: Nets, core: IntArray, cores: int, slots: int
) -> tuple[RealArray, RealArray] | None:
    """([cores] x, [cores] y) of routers, the host's at (0, 0); None where it would take long.

    Args:
        nets: between clusters.
        core: [clusters], below ``cores``.
        slots: cores per router.
    """
    ptr, partner, weight = _flows(nets, core, cores)
    if 2 * ROUNDS * TRIES * partner.size > MOST_VISITS:
        return None
    width = math.ceil(math.sqrt(math.ceil(cores / slots)))
    height = math.ceil(cores / slots / width)
    place: IntArray = np.arange(width * height * slots) // slots
    row, column = place // width, place % width
    x, y = np.zeros(cores + 1), np.zeros(cores + 1)
    site: IntArray = np.arange(cores)
    x[:cores] = np.where(row % 2, width - 1 - column, column)[site]  # back and forth
    y[:cores] = row[site]
    occupant = np.full((height, width, slots), -1, np.int64)
    slot: IntArray = site % slots
    occupant[y[:cores].astype(np.int64), x[:cores].astype(np.int64), slot] = site
    state = started(0)
    scale = float(weight.sum()) / max(cores, 1)
    for cold in np.linspace(0, 1, ROUNDS):
        window = max(1, round(max(width, height) * (1 - cold)))
        _swaps(state, TRIES * cores, scale * COLDEST**cold, window, ptr, partner, weight, x, y,
               slot, occupant)  # fmt: skip
    return x[:cores], y[:cores]


def _flows(nets: Nets, core: IntArray, cores: int) -> tuple[IntArray, IntArray, RealArray]:
    """Partners of every core, packets in both directions together; partner ``cores`` is the host.

    Returns:
        [cores + 1] slices of [flows] partner and [flows] packets.
    """
    net: IntArray = np.repeat(np.arange(nets.home.size), np.diff(nets.ptr))
    once = sorted_unique(net * cores + core[nets.dest])
    net, there = once // cores, once % cores
    home = np.where(nets.home < 0, cores, core[nets.home])[net]
    away = home != there
    a, b = np.concatenate([home[away], there[away]]), np.concatenate([there[away], home[away]])
    key, number = np.unique(a * (cores + 1) + b, return_inverse=True)
    packets = np.tile(nets.weight[net[away]], 2)
    weight = np.bincount(number.reshape(-1), packets, minlength=key.size).astype(np.float64)
    ptr = pointers(np.bincount(key // (cores + 1), minlength=cores + 1))
    return ptr, key % (cores + 1), weight


@lean_kernel
def _swaps(
    state: IntArray, tries: int, temperature: float, window: int, ptr: IntArray,
    partner: IntArray, weight: RealArray, x: RealArray, y: RealArray, slot: IntArray,
    occupant: IntArray,
) -> None:  # fmt: skip
    """Try swaps of a core with a site nearby; the host is the last of ``x`` and ``y``."""
    height, width, slots = occupant.shape
    for _ in range(tries):
        a = draw(state, slot.size)
        qx = min(max(int(x[a]) + draw(state, 2 * window + 1) - window, 0), width - 1)
        qy = min(max(int(y[a]) + draw(state, 2 * window + 1) - window, 0), height - 1)
        if qx == int(x[a]) and qy == int(y[a]):
            continue
        s = draw(state, slots)
        b = occupant[qy, qx, s]
        px, py, change = x[a], y[a], 0.0
        for side in range(2 if b >= 0 else 1):
            c = b if side else a
            fx, fy, tx, ty = (qx, qy, px, py) if side else (px, py, qx, qy)
            for i in range(ptr[c], ptr[c + 1]):
                e = partner[i]
                if e != a and e != b:
                    change += weight[i] * (
                        abs(x[e] - tx) + abs(y[e] - ty) - abs(x[e] - fx) - abs(y[e] - fy)
                    )
        if change > 0.0 and draw(state, 1 << 30) >= (1 << 30) * math.exp(-change / temperature):
            continue
        occupant[int(py), int(px), slot[a]] = b
        occupant[qy, qx, s] = a
        if b >= 0:
            x[b], y[b], slot[b] = px, py, slot[a]
        x[a], y[a], slot[a] = qx, qy, s
