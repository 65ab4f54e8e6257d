"""Which real grid the quantizer gives every weight of a network: what fine-tuning rounds to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from snnc.compiler.quantize.layer import Layer
from snnc.ir.arrays import RealArray
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import Linear


@dataclass(frozen=True, eq=False)
class WeightGrid:
    """The weights of one operator become ``step x clip(rint(w / step), -largest, largest)``.

    Attributes:
        step: real size of one integer, for every stored weight (its shape).
        largest: largest magnitude of an integer.
    """

    step: RealArray
    largest: int


def weight_grids(network: Network, layers: Iterable[tuple[Layer, int]]) -> dict[str, WeightGrid]:
    """Grids by the operator's name.

    Args:
        network: normalised, as it was quantized.
        layers: its quantized populations, with the largest integer of each.

    Raises:
        UnsupportedError: an operator that several populations read, so that its weights have
            several grids; a convolution whose grids do not follow its channels.
    """
    result: dict[str, WeightGrid] = {}
    for layer, largest in layers:
        for rows in layer.rows:
            name = rows.writer.node.name
            source = network.node.get(name, network.node.get(name.rpartition("@")[0]))
            if not isinstance(source, Linear):  # a copy of spikes: a weight of one
                continue
            if source.name in result or source.name != name:
                raise UnsupportedError(
                    "weights that several populations read have several grids",
                    where=source.name,
                    remedy="give each population its own operator",
                )
            if rows.entry_group.shape != source.weights.values.shape:
                raise UnsupportedError(
                    "a convolution whose grids do not follow its channels", where=name
                )
            gain = np.abs(layer.parameters.gain)
            gain = np.where(gain > 0, gain, 1.0)  # without gain no weight counts
            unit = layer.steps / gain / rows.writer.source_grid
            result[name] = WeightGrid(unit[rows.entry_group], largest)
    return result
