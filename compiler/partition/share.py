"""How many cores clusters need that may share them, costs added: an estimate to choose by."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import lean_kernel

ROOM = 1 + 1e-9


def shared_cores(fill: RealArray) -> float:
    """Cores by first fit of falling size; the emptiest counts as far as it is full.

    Args:
        fill: [limits, clusters] share of a core that each cluster takes.
    """
    if not fill.size:
        return float(fill.shape[1])
    most = fill.max(axis=0)
    order = np.argsort(-most, kind="stable")
    # Beside these nothing fits, not even the smallest cluster.
    alone = (fill + fill.min(axis=1, keepdims=True) > ROOM).any(axis=0)[order]
    rest = np.ascontiguousarray(fill[:, order[~alone]])
    if not rest.shape[1]:
        return float(order.size - 1 + min(1.0, most.min()))
    load = np.zeros_like(rest)
    used = np.zeros(1, np.int64)
    _first_fit(rest, load, used)
    return float(np.count_nonzero(alone) + used[0] - 1 + min(1.0, load[:, : used[0]].max(0).min()))


@lean_kernel
def _first_fit(fill: RealArray, load: RealArray, used: IntArray) -> None:
    """Fill ``load`` [limits, bins] and count the bins; fills come in falling order."""
    for k in range(fill.shape[1]):
        for b in range(used[0] + 1):
            fits = True
            for w in range(fill.shape[0]):
                if load[w, b] + fill[w, k] > ROOM:
                    fits = False
            if fits or b == used[0]:
                for w in range(fill.shape[0]):
                    load[w, b] += fill[w, k]
                used[0] = max(used[0], b + 1)
                break
