"""Weights of a population's writers, sorted into the groups that share a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.normalise.matrices import as_sparse, per_channel, scale_rows
from snnc.compiler.quantize.rounding import Moments, rounded
from snnc.compiler.quantize.trees import Tree, Writer
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.nodes import Linear
from snnc.ir.weights import Conv, Dense, Sparse, Weights, with_values


@dataclass(frozen=True, eq=False)
class Rows:
    """One writer: effective real weights and the group of each stored entry."""

    writer: Writer
    weights: Weights
    entry_group: IntArray

    def quantized(
        self, step: RealArray, largest: int, signs: bool = False, moments: Moments | None = None
    ) -> Linear:
        """The writer with integers; ``step`` is the grid of each group.

        ``signs``: one bit, so that every weight but 0 (no synapse) becomes its sign.
        ``moments``: round for the least error on these inputs where they are known.
        """
        real = self.weights.values / step[self.entry_group]
        moment = self._moment(moments or {})
        values: IntArray
        if signs:
            values = np.sign(real).astype(np.int64)
        elif moment is not None:
            values = rounded(real, moment, largest)
        else:
            values = np.clip(np.rint(real), -largest, largest).astype(np.int64)
        node = self.writer.node
        return Linear(node.name, node.inputs, with_values(self.weights, values))

    def _moment(self, moments: Moments) -> RealArray | None:
        """Of this operator, a private copy of it included; sparse rows have none."""
        name = self.writer.node.name
        found = moments.get(name, moments.get(name.rpartition("@")[0]))
        shared = not isinstance(self.weights, Sparse)
        fits = found is not None and found.shape[1] == int(np.prod(self.weights.values.shape[1:]))
        return found if shared and fits else None

    def restored(self, node: Linear, step: RealArray) -> RealArray:
        """Real values of the integers."""
        result: RealArray = node.weights.values * step[self.entry_group]
        return result


def rows_of(tree: Tree, groups: dict[str, IntArray], gain: RealArray) -> list[Rows]:
    """Effective weights ``gain x w x grid of the source`` of every writer.

    Args:
        tree: of the population.
        groups: group of each output element of each writer, -1 where nothing reads it.
        gain: per group.
    """
    result = []
    for name, writer in tree.writers.items():
        group = np.maximum(groups[name], 0)
        weights = writer.node.weights
        if isinstance(weights, Conv) and per_channel(group, writer.out_shape) is None:
            weights = as_sparse(weights, writer.shape, writer.out_shape)
        factor = gain[group] * writer.source_grid
        weights = scale_rows(weights, factor, writer.shape, writer.out_shape)
        result.append(Rows(writer, weights, _entry_group(weights, group)))
    return result


def _entry_group(weights: Weights, group: IntArray) -> IntArray:
    shape = weights.values.shape
    if isinstance(weights, Dense | Conv):
        row = group.reshape(shape[0], -1)[:, 0]
        result: IntArray = np.broadcast_to(row.reshape(-1, *(1,) * (len(shape) - 1)), shape)
        return result
    repeated: IntArray = np.repeat(group.reshape(-1), np.diff(weights.row_ptr))
    return repeated


def by_group(rows: list[Rows], count: int) -> list[RealArray]:
    """All effective weights of each group."""
    values = np.concatenate([r.weights.values.reshape(-1) for r in rows] or [np.zeros(0)])
    group = np.concatenate([r.entry_group.reshape(-1) for r in rows] or [np.zeros(0, np.int64)])
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(1, count))
    return list(np.split(values[order], ends))
