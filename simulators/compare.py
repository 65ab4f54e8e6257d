"""Where two runs first differ: step, layer, sample, neuron and both values.

Works on any two ``RunResult``: real and integer networks, two backends, two readings of one file.
Spikes are compared as counts, entry by entry; outputs as numbers, which may lie on different grids.
"First" is the earliest step; within a step the earliest layer in execution order, because a later
one may only follow it; then the lowest sample and neuron.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal

import numpy as np

from snnc.ir.arrays import AnyArray, Shape
from snnc.simulators.result import Events, RunResult

Pair = tuple[str, str]
Kind = Literal["spikes", "output"]


@dataclass(frozen=True, order=True)
class Divergence:
    """The first entry of a layer in which two runs differ; ``index`` is the flat neuron."""

    step: int
    sample: int
    index: int
    left: float
    right: float


@dataclass(frozen=True)
class LayerDifference:
    """How far two runs agree in one population or output.

    Attributes:
        names: of the layer on both sides.
        kind: "spikes" of a population, or values of an "output".
        totals: spikes (sum of absolute counts), or sum of the values, on both sides.
        differing: entries (sample, step, neuron) that differ.
        largest: largest absolute difference of an entry.
        first: None where the two agree.
    """

    names: Pair
    kind: Kind
    totals: tuple[float, float]
    differing: int
    largest: float
    first: Divergence | None

    def joined(self, later: LayerDifference, samples: int) -> LayerDifference:
        """With those of further samples, which follow the first ``samples``."""
        other = later.first and replace(later.first, sample=later.first.sample + samples)
        found = [first for first in (self.first, other) if first is not None]
        left, right = (a + b for a, b in zip(self.totals, later.totals, strict=True))
        return LayerDifference(
            self.names,
            self.kind,
            (left, right),
            self.differing + later.differing,
            max(self.largest, later.largest),
            min(found, default=None),
        )


@dataclass(frozen=True)
class RunDifference:
    """All compared layers of two runs, populations in execution order, then outputs."""

    samples: int
    layers: tuple[LayerDifference, ...]

    @property
    def differing(self) -> int:
        """Differing entries over all layers."""
        return sum(layer.differing for layer in self.layers)

    @property
    def first(self) -> tuple[LayerDifference, Divergence] | None:
        """Where the two runs part; None when they agree in everything compared."""
        found = [(layer, layer.first) for layer in self.layers if layer.first is not None]
        # min keeps the earliest layer among equal steps: the layers are in execution order.
        return min(found, key=lambda entry: entry[1].step, default=None)

    def joined(self, later: RunDifference) -> RunDifference:
        """With the same layers of further samples."""
        layers = tuple(
            a.joined(b, self.samples) for a, b in zip(self.layers, later.layers, strict=True)
        )
        return RunDifference(self.samples + later.samples, layers)


def paired(left: Mapping[str, Shape], right: Mapping[str, Shape]) -> tuple[Pair, ...]:
    """Which layers of two networks belong together, in the order of ``left``.

    Equal names of equal shape; of the others, those that follow each other in the same order with
    the same shapes (another exporter gives other names).

    Args:
        left, right: shape by name, in execution order.
    """
    same = [name for name in left if right.get(name) == left[name]]
    mine = [name for name in left if name not in same]
    theirs = [name for name in right if name not in same]
    matcher = SequenceMatcher(
        None, [left[n] for n in mine], [right[n] for n in theirs], autojunk=False
    )
    pairs = {name: name for name in same}
    for block in matcher.get_matching_blocks():
        matched = slice(block.a, block.a + block.size), slice(block.b, block.b + block.size)
        pairs |= zip(mine[matched[0]], theirs[matched[1]], strict=True)
    return tuple((name, pairs[name]) for name in left if name in pairs)


def compare_runs(
    left: RunResult,
    right: RunResult,
    populations: Sequence[Pair] | None = None,
    outputs: Sequence[Pair] | None = None,
    *,
    tolerance: float = 0.0,
) -> RunDifference:
    """Compare two runs on the same samples.

    Args:
        left, right: results with recorded spikes.
        populations: names on both sides, in execution order; None takes all common names.
        outputs: likewise; outputs hold numbers [samples, steps, *shape] in the same unit.
        tolerance: difference of output values that still counts as equal.
    """
    if populations is None:
        populations = [(name, name) for name in left.spikes if name in right.spikes]
    if outputs is None:
        outputs = [(name, name) for name in left.outputs if name in right.outputs]
    layers = [compare_spikes(pair, left.spikes[pair[0]], right.spikes[pair[1]])
              for pair in populations]  # fmt: skip
    layers += [
        compare_values(pair, left.outputs[pair[0]], right.outputs[pair[1]], tolerance)
        for pair in outputs
    ]
    arrays = [*left.outputs.values(), *left.spike_counts.values()]
    return RunDifference(len(arrays[0]) if arrays else 0, tuple(layers))


def compare_spikes(names: Pair, left: Events, right: Events) -> LayerDifference:
    """Compare the spikes of one population, without building a dense raster."""
    keys, extent = _keys(left, right)
    every, place = np.unique(keys, return_inverse=True)
    values = np.zeros((2, every.size), np.int64)
    values[0, place[: left.value.size]] = left.value
    values[1, place[left.value.size :]] = right.value
    gap = np.abs(values[0] - values[1])
    return LayerDifference(
        names,
        "spikes",
        (left.count, right.count),
        int(np.count_nonzero(gap)),
        float(gap.max(initial=0)),
        _first(gap > 0, every, extent, [values[0], values[1]]),
    )


def _keys(left: Events, right: Events) -> tuple[AnyArray, tuple[int, int]]:
    """One number per entry that sorts by step, sample, index; and extents to take it apart."""
    step, sample, index = (
        np.concatenate([getattr(left, name), getattr(right, name)]).astype(np.int64)
        for name in ("step", "sample", "index")
    )
    extent = int(sample.max(initial=0)) + 1, int(index.max(initial=0)) + 1
    return (step * extent[0] + sample) * extent[1] + index, extent


def compare_values(
    names: Pair, left: AnyArray, right: AnyArray, tolerance: float = 0.0
) -> LayerDifference:
    """Compare the values of one output, numbers [samples, steps, *shape] of equal shape."""
    # All entries in one row, ordered by step, sample, index.
    values = [np.swapaxes(side, 0, 1).reshape(-1) for side in (left, right)]
    gap = np.abs(values[0].astype(np.float64) - values[1])
    differs = gap > tolerance if tolerance else values[0] != values[1]
    extent = left.shape[0], gap.size // (left.shape[0] * left.shape[1])
    return LayerDifference(
        names,
        "output",
        (float(values[0].sum()), float(values[1].sum())),
        int(np.count_nonzero(differs)),
        float(gap.max(initial=0)),
        _first(differs, np.arange(gap.size), extent, values),
    )


def _first(
    differs: AnyArray, keys: AnyArray, extent: tuple[int, int], values: Sequence[AnyArray]
) -> Divergence | None:
    """The first entry that differs, its key taken apart."""
    if not differs.any():
        return None
    at = int(np.argmax(differs))
    rest, index = divmod(int(keys[at]), extent[1])
    step, sample = divmod(rest, extent[0])
    return Divergence(step, sample, index, float(values[0][at]), float(values[1][at]))
