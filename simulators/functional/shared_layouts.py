"""Shared rows in the layouts of the simulator: nothing as long as the synapses is built.

The layouts are those of ``layouts``.  In ``RUNS``, which shares the shapes of rows anyway, the
table comes from the shapes instead of from every row; ``SHARED`` is ``WIDE`` with a row per shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.expand import Projection
from snnc.ir.rows import Rows
from snnc.ir.shared_expansion import SharedProjection
from snnc.simulators.functional.layouts import (
    SHORTEST_MEAN_RUN,
    RunTable,
    channels_last,
    runs,
)
from snnc.simulators.neuron_kernel import Int64

SHARED_FROM = 1 << 20
"""Synapses from which on a projection keeps its rows shared; below, it is written out first."""


@dataclass(frozen=True, eq=False)
class SharedTable:
    """Row i adds the entries of ``shape[i]`` to the neurons from ``base[i]`` on.

    Attributes:
        base, shape: [sources].
        rows: the shapes as rows; targets count from a base and may be negative.
    """

    base: IntArray
    shape: IntArray
    rows: Projection

    @property
    def synapses(self) -> int:
        """Number of synapses, however they are stored."""
        return int(np.diff(self.rows.row_ptr)[self.shape].sum())


def reordered(projection: SharedProjection, order: Int64 | None, channels: Shape) -> SharedTable:
    """The projection between sources and targets in internal order.

    Args:
        projection: shared rows in natural order.
        order: natural index of the sources in internal order; None: the same.
        channels: shape of the target population.
    """
    rows = projection.rows
    base, offset = rows.shift, rows.offset
    if channels_last(channels) is not None:
        rows, base, offset = _turned(rows, channels)
    shape_of_entry = np.repeat(np.arange(rows.shape_ptr.size - 1), np.diff(rows.shape_ptr))
    rising = np.lexsort((offset, shape_of_entry))
    shapes = Projection(
        projection.source, projection.population, projection.delay, rows.shape_ptr,
        offset[rising].astype(np.int32), rows.weight[rising].astype(np.int64), projection.targets,
    )  # fmt: skip
    mine = slice(None) if order is None else order
    return SharedTable(base[mine].astype(np.int32), rows.shape[mine], shapes)


def _turned(rows: Rows, targets: Shape) -> tuple[Rows, IntArray, IntArray]:
    """(rows, first targets, offsets) where target (channel, pixel) becomes (pixel, channel).

    The rows are those given.  Where the population has the channels of the convolution, rows of
    one shape have one shape afterwards; if a row leads over the end of a channel, it may not.
    """
    channels, plane = targets[0], size_of(targets[1:])
    model = np.zeros(rows.shape_ptr.size - 1, np.int64)
    model[rows.shape] = np.arange(rows.count)  # any row of a shape will do
    length = np.diff(rows.shape_ptr)
    first = np.repeat(rows.shift[model].astype(np.int64), length)
    channel, pixel = np.divmod(first + rows.offset, plane)
    channel -= first // plane
    pixel -= first % plane
    shifted_channel, shifted_pixel = np.divmod(rows.shift, plane)
    filled = np.flatnonzero(length)
    lowest, highest = np.zeros(length.size, np.int64), np.zeros(length.size, np.int64)
    if filled.size:
        lowest[filled] = np.minimum.reduceat(pixel, rows.shape_ptr[filled])
        highest[filled] = np.maximum.reduceat(pixel, rows.shape_ptr[filled])
    differs = (shifted_pixel + lowest[rows.shape] < 0) | (
        shifted_pixel + highest[rows.shape] >= plane
    )
    if differs.any():
        return _turned(_split(rows, np.where(differs, 1 + shifted_pixel, 0)), targets)
    return rows, shifted_pixel * channels + shifted_channel, pixel * channels + channel


def _split(rows: Rows, kind: IntArray) -> Rows:
    """The same rows, with a shape of their own for every kind [rows] of a shape."""
    kinds = int(kind.max(initial=0)) + 1
    found, shape = np.unique(rows.shape.astype(np.int64) * kinds + kind, return_inverse=True)
    old = (found // kinds).astype(rows.shape.dtype)
    each = Rows(old, np.zeros_like(old), rows.shape_ptr, rows.offset, rows.weight)
    return Rows(shape.reshape(-1).astype(np.int32), rows.shift, *each.plain())


def shared_runs(table: SharedTable) -> RunTable | None:
    """The table in the layout RUNS; None if another is faster, or alone holds the weights."""
    weight = table.rows.weight
    if int(weight.min(initial=0)) < -128 or int(weight.max(initial=0)) > 127:
        return None
    found = runs(table.rows)
    shape = found.shape[table.shape]
    if table.synapses < SHORTEST_MEAN_RUN * int(np.diff(found.shape_ptr)[shape].sum()):
        return None
    base = table.base + found.base[table.shape]
    return replace(found, base=base.astype(np.int32), shape=shape)
