"""How large an activation one channel must be able to express: thresholds from calibration data.

A neuron that sends at most n spikes in all, each worth ``scale / n``, and starts at half a
threshold computes ``clip(floor(n a / scale + 1/2), 0, n) scale / n`` of a steady activation a
(Bu et al., ICLR 2022).  A small scale clips, a large one rounds coarsely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snnc.compiler.frontends.onnx.ann.graph import ActivationGraph
from snnc.compiler.frontends.onnx.options import OnnxOptions
from snnc.ir.arrays import RealArray

KEPT = 4096
"""Values per channel from which a scale is chosen: evenly spaced in rank, with the largest."""
CANDIDATES = np.linspace(0.02, 1.0, 50)


@dataclass
class Collector:
    """Gathers activations per channel while an ANN runs; ``watch`` is given to ``evaluate``."""

    parts: dict[str, list[RealArray]] = field(default_factory=dict)

    def watch(self, name: str, values: RealArray) -> None:
        """Keep one batch [samples, channels, ...] as [channels, values], in float32."""
        rows = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
        self.parts.setdefault(name, []).append(_thinned(rows.astype(np.float32), KEPT))

    def channels(self, name: str) -> RealArray:
        """[channels, values] of one activation, ascending."""
        return _thinned(np.concatenate(self.parts[name], axis=1), KEPT)


def _thinned(rows: RealArray, most: int) -> RealArray:
    """Sorted rows of at most ``most`` values, evenly spaced in rank; the largest stays."""
    ordered = np.sort(rows, axis=1)
    if ordered.shape[1] <= most:
        return ordered
    chosen = np.linspace(0, ordered.shape[1] - 1, most).round().astype(np.int64)
    result: RealArray = ordered[:, chosen]
    return result


def scales(
    graph: ActivationGraph, collected: Collector, options: OnnxOptions, levels: int
) -> dict[str, RealArray]:
    """Largest expressible value per channel, by activation name.

    Args:
        levels: spikes a neuron can send in all, over all steps.
    """
    found: dict[str, RealArray] = {}
    for name in collected.parts:
        rows = collected.channels(name).astype(np.float64)
        found[name] = scale_of(rows, options, levels)
    return found


def scale_of(rows: RealArray, options: OnnxOptions, levels: int) -> RealArray:
    """One scale per row of sorted activations; rows that never rise get the largest of all.

    Every scale is positive.
    """
    if options.conversion == "max":
        chosen = rows[:, -1]
    elif options.conversion == "percentile":
        chosen = np.array([_percentile(row, options.percentile) for row in rows])
    else:
        chosen = np.array([_least_error(row, levels) for row in rows])
    largest = float(chosen.max(initial=0.0))
    result: RealArray = np.where(chosen > 0, chosen, largest if largest > 0 else 1.0)
    return result


def _percentile(row: RealArray, percentile: float) -> float:
    positive = row[row > 0]
    return float(np.percentile(positive, percentile)) if positive.size else 0.0


def _least_error(row: RealArray, levels: int) -> float:
    """The candidate with the smallest squared error of the quantized activations."""
    positive = row[row > 0]
    if not positive.size:
        return 0.0
    steps = CANDIDATES[:, None] * positive[-1] / levels
    counts = np.clip(np.floor(positive / steps + 0.5), 0, levels)
    errors = ((counts * steps - positive) ** 2).sum(axis=1)
    return float(CANDIDATES[int(errors.argmin())] * positive[-1])


def clipping(collected: Collector, chosen: Mapping[str, RealArray]) -> dict[str, float]:
    """Share of positive activations above their scale, by activation name."""
    result = {}
    for name, scale in chosen.items():
        rows = collected.channels(name)
        positive = max(1, int(np.count_nonzero(rows > 0)))
        result[name] = float(np.count_nonzero(rows > scale[:, None] * (1 + 1e-6)) / positive)
    return result
