"""From loaded values to the integers of a network's inputs, and samples worth calibrating with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from snnc.inputs.dataset import Dataset
from snnc.ir.arrays import AnyArray, IntArray, RealArray
from snnc.ir.errors import InputError
from snnc.ir.nodes import Input
from snnc.simulators.inputs import check_range


def typical_and_extreme(data: Dataset, typical: int) -> dict[str, RealArray]:
    """The first ``typical`` samples and those that hold an input's extreme or fractional values.

    A value range is that of all the data, while everything else is measured on few samples.
    """
    chosen = set(range(min(typical, data.samples)))
    extreme: dict[tuple[str, str], tuple[float, int]] = {}
    for sample in range(data.samples):
        for name, values in data.batch(sample, sample + 1).items():
            fraction = 0.0
            if values.dtype.kind == "f":
                fraction = float(np.abs(values - np.rint(values)).max())
            for kind, score in (
                ("max", float(values.max())),
                ("min", -float(values.min())),
                ("fraction", fraction),
            ):
                if score > extreme.get((name, kind), (-np.inf, 0))[0]:
                    extreme[name, kind] = (score, sample)
    chosen |= {sample for _, sample in extreme.values()}
    parts = [data.batch(sample, sample + 1) for sample in sorted(chosen)]
    return {
        name: np.concatenate([part[name] for part in parts]).astype(np.float64) for name in parts[0]
    }


def integer_batch(values: Mapping[str, AnyArray], inputs: Sequence[Input]) -> dict[str, IntArray]:
    """Put real values on the integer grids of a network's inputs.

    Events are counted, so they must be whole.  An input with a grid of its own takes real values,
    as do ``int`` and ``frame`` inputs: they are rounded to the nearest grid point, ties to even
    (the grid was chosen from calibration data, which the network's assumptions say).

    Raises:
        InputError: an event value off the grid, or any value outside the input's type.
    """
    return {node.name: _on_grid(values[node.name], node) for node in inputs}


def _on_grid(values: AnyArray, node: Input) -> IntArray:
    plain = values.dtype.kind in "iub" and all(step == 1.0 for step in node.type.grid)
    if plain:
        result: IntArray = values
    else:
        grid = np.asarray(node.type.grid)
        if grid.size > 1:  # one step per channel, the axis after samples and steps
            grid = grid.reshape(-1, *(1,) * (len(node.shape) - 1))
        scaled = values.astype(np.float64) / grid
        result = np.round(np.clip(scaled, -(2.0**62), 2.0**62)).astype(np.int64)
        off = int(np.count_nonzero(np.abs(scaled - result) > 1e-9 * np.maximum(1, np.abs(scaled))))
        if node.type.is_event and off and all(step == 1.0 for step in node.type.grid):
            raise InputError(
                "input values are not whole events",
                where=node.name,
                found=f"{off} of {values.size} values, e.g. {_example(values, scaled, result):g}",
                allowed="whole numbers",
                remedy="encode the values (--encode poisson or latency), or calibrate with them",
            )
    check_range(node, result)
    return result


def _example(values: AnyArray, scaled: AnyArray, rounded: AnyArray) -> float:
    worst = int(np.argmax(np.abs(scaled - rounded)))
    return float(values.reshape(-1)[worst])
