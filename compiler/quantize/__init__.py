"""Real network to integer network in the normal form of a target.

Every population gets, per output channel, a weight grid, an integer threshold on it, and a bias
and leak in the widths of the target; see ``docs/quantization.md`` for when the integers equal the
real numbers spike for spike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.compiler.legalize import require, verdicts
from snnc.compiler.normalise import normalise
from snnc.compiler.normalise.builder import event_only
from snnc.compiler.quantize.inputs import input_types
from snnc.compiler.quantize.layer import Layer, LayerQuantizer
from snnc.compiler.quantize.options import Quantized, QuantizeOptions
from snnc.compiler.quantize.parameters import parameters
from snnc.compiler.quantize.report import layer_report
from snnc.compiler.quantize.rows import rows_of
from snnc.compiler.quantize.trees import TreeBuilder, shared_part
from snnc.ir.arrays import RealArray
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.network import Network
from snnc.ir.nodes import Bias, Input, MatMul, Mul, Output, Pool, Reduce, Scale
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.target import Target
from snnc.ir.types import ValueType, events, signed_integer

__all__ = ["QuantizeOptions", "Quantized", "quantize"]


def quantize(
    network: Network,
    target: Target,
    options: QuantizeOptions,
    calibration: Mapping[str, RealArray] | None = None,
) -> Quantized:
    """Choose integers for a trained network.

    Args:
        network: as a frontend returns it (it is normalised here).
        target: whose widths and neuron model the integers respect.
        options: weight width, granularity, timesteps, input levels.
        calibration: data by input name, [samples, steps, *shape], for the input types.

    Raises:
        UnsupportedError: nodes the target cannot express, all of them named.
        OptionError: weights wider than the target's.
        InputError: calibration data that does not fit the network.
    """
    products = (Mul, MatMul, Reduce, Pool)  # legalize decides about them in their integer form
    found = [f for f in verdicts(network, target) if not isinstance(network.node[f.node], products)]
    require(found, target)
    options.largest_weight(target)
    return _Quantizer(normalise(network), target, options, calibration).run()


class _Quantizer:
    """Walks the populations in execution order and collects the integer nodes."""

    def __init__(
        self,
        network: Network,
        target: Target,
        options: QuantizeOptions,
        calibration: Mapping[str, RealArray] | None,
    ) -> None:
        self.network, self.target, self.options = network, target, options
        self.types, self.assumptions = input_types(network, target, options, calibration)
        grids = {name: kind.grid[0] for name, kind in self.types.items()}
        spikes = event_only(network)
        shared = shared_part(network, spikes)
        leaves = {n.name for n in network.nodes if isinstance(n, Input | RealNeuron | Output)}
        self.nodes: dict[str, IntegerNode] = {}
        self.builder = TreeBuilder(network, grids, spikes, shared | leaves)
        for node in network.of_type(Input):
            self.nodes[node.name] = Input(node.name, node.shape, self.types[node.name])
        for name in sorted(shared):  # a set has no stable order
            self._share(name)
        self.types |= {n.name: self._emitted(n) for n in network.of_type(RealNeuron)}

    def _share(self, name: str) -> None:
        """Copy an operator on spikes; biases in it reach the neurons as gated biases."""
        node = self.network.node[name]
        if not isinstance(node, Bias | Scale | RealNeuron):
            inputs = tuple(self._past_bias(source) for source in node.inputs)
            self.nodes[name] = type(node)(**{**vars(node), "inputs": inputs})

    def _past_bias(self, name: str) -> str:
        node = self.network.node[name]
        return self._past_bias(node.inputs[0]) if isinstance(node, Bias) else name

    def _emitted(self, neuron: RealNeuron) -> ValueType:
        if neuron.threshold is None:
            return signed_integer(1 << (self.target.neuron.state_bits - 1))
        return events(-neuron.negative_spikes, neuron.multi_spike)

    def run(self) -> Quantized:
        reports = {}
        for neuron in self.network.of_type(RealNeuron):
            layer = self._layer(neuron)
            reports[neuron.name] = layer_report(layer, self.target, self.options)
        for output in self.network.of_type(Output):
            self.nodes[output.name] = output
        network = IntegerNetwork(
            self.network.name,
            tuple(self.nodes.values()),
            {**self.network.assumptions, **self.assumptions},
        )
        return Quantized(network, self._summary(reports))

    def _layer(self, neuron: RealNeuron) -> Layer:
        tree = self.builder.build(neuron)
        p = parameters(self.network, neuron, tree, self.target)
        rows = rows_of(tree, p.writers, p.gain)
        layer = LayerQuantizer(
            p, tree, rows, self.target, self.options,
            {**self.nodes, **self._neuron_stubs()}, self.types,
        ).run()  # fmt: skip
        self.nodes |= {writer.name: writer for writer in layer.writers}
        self.nodes |= tree.inner
        self.nodes[neuron.name] = layer.neuron
        if not np.isfinite(layer.steps).all():
            raise UnsupportedError("the weights are too small to quantize", where=neuron.name)
        return layer

    def _neuron_stubs(self) -> dict[str, IntegerNode]:
        """Leaves for the interval analysis: a population's shape, under the type it emits."""
        return {
            n.name: Input(n.name, n.shape, self.types[n.name])
            for n in self.network.of_type(RealNeuron)
            if n.name not in self.nodes
        }

    def _summary(self, layers: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {
            "weight_bits": self.options.weight_bits,
            "granularity": self.options.granularity,
            "timesteps": self.options.timesteps,
            "inputs": {
                name: {"type": str(kind), "grid": kind.grid[0]}
                for name, kind in self.types.items()
                if isinstance(self.nodes[name], Input)
            },
            "layers": layers,
        }
