"""What rounding did on real data: the trained network and its integers, spike by spike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray, RealArray, size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.weights import Conv
from snnc.simulators.reference import run
from snnc.simulators.reference.real import run_real
from snnc.simulators.result import predictions

ADDITIONS = 5e8  # of all samples compared: some seconds in NumPy
SKIP_BEYOND = 4 * ADDITIONS  # of one sample


def fidelity(
    network: Network,
    integer: IntegerNetwork,
    data: Mapping[str, RealArray],
    samples: int,
    labels: IntArray | None = None,
) -> dict[str, Any]:
    """Differences on the first samples of the data (JSON values; docs/quantization.md).

    Args:
        network: the real network, normalised or not.
        integer: what ``quantize`` made of it.
        data: by input name, [samples, steps, *shape].
        samples: how many to compare; fewer where they would take long.
        labels: classes of the samples, if known.
    """
    steps = next(iter(data.values())).shape[1]
    each = steps * additions(network)
    if each > SKIP_BEYOND:
        return {"samples": 0, "skipped": f"{each:.2g} additions per sample are too many"}
    count = max(1, min(samples, len(next(iter(data.values()))), int(ADDITIONS / max(each, 1))))
    part = {name: values[:count] for name, values in data.items()}
    grids = {n.name: n.type for n in integer.of_type(Input)}
    whole = {
        name: np.clip(np.rint(x / grids[name].grid[0]), grids[name].low, grids[name].high)
        for name, x in part.items()
    }
    real = run_real(network, part)
    taken = run(integer, {name: x.astype(np.int64) for name, x in whole.items()})
    layers = {
        node.name: {
            "spikes": int(np.abs(real.spikes[node.name].value).sum()),
            "integer_spikes": int(np.abs(taken.spikes[node.name].value).sum()),
            "different": taken.spikes[node.name].mismatches(real.spikes[node.name]),
        }
        for node in integer.populations  # in a stable order: reports are compared byte by byte
        if node.name in real.spikes
    }
    outputs = {
        node.name: _classes(node, real.outputs[node.name], taken.outputs[node.name], labels)
        for node in network.of_type(Output)
    }
    return {"samples": count, "layers": layers, "outputs": outputs}


def _classes(
    node: Output, real: Any, taken: IntArray, labels: IntArray | None
) -> dict[str, int | float]:
    """Samples classified alike, and correct ones where labels are known."""
    before, after = (predictions(values, node.readout) for values in (real, taken))
    result: dict[str, int | float] = {"alike": int((before == after).sum())}
    if labels is not None:
        known = labels[: len(before)]
        result["correct"] = int((before == known).sum())
        result["integer_correct"] = int((after == known).sum())
    return result


def additions(network: Network) -> float:
    """Weights times positions of all linear operators: what one step computes."""
    total = 0.0
    for node in network.of_type(Linear):
        positions = 1
        if isinstance(node.weights, Conv):
            positions = size_of(network.shapes[node.name][1:])
        total += float(node.weights.values.size) * positions
    return total
