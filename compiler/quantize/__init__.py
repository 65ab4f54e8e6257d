"""Real network to integer network in the normal form of a target.

Every population gets, per output channel, a weight grid, an integer threshold on it, and a bias
and leak in the widths of the target; see ``docs/quantization.md`` for when the integers equal the
real numbers spike for spike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.intervals import interval
from snnc.compiler.legalize import require, verdicts
from snnc.compiler.normalise import normalise
from snnc.compiler.normalise.builder import event_only
from snnc.compiler.quantize.budget import BITS_PER_KIB, Candidate, candidate, choose_widths
from snnc.compiler.quantize.correct import affordable, corrected
from snnc.compiler.quantize.counts import MOST, check_order, levels_needed, too_many
from snnc.compiler.quantize.fidelity import fidelity
from snnc.compiler.quantize.inputs import input_types
from snnc.compiler.quantize.layer import Layer, LayerQuantizer
from snnc.compiler.quantize.leaks import with_leaks
from snnc.compiler.quantize.options import Quantized, QuantizeOptions, parse_corrections
from snnc.compiler.quantize.parameters import parameters
from snnc.compiler.quantize.report import layer_report
from snnc.compiler.quantize.rounding import beyond_moments, moments
from snnc.compiler.quantize.rows import rows_of
from snnc.compiler.quantize.trees import Tree, TreeBuilder, shared_part
from snnc.compiler.quantize.weight_grids import WeightGrid, weight_grids
from snnc.compiler.quantize.widths import parse_widths, width_of
from snnc.compiler.steps import sample_steps
from snnc.ir.arrays import RealArray
from snnc.ir.errors import OptionError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.network import Network
from snnc.ir.nodes import Bias, Input, MatMul, Mul, Output, Pool, Reduce, Scale
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.target import Target
from snnc.ir.types import ValueType, events, signed_integer

TYPICAL_RATE = 0.1  # spikes per step and neuron where nothing was measured
__all__ = [
    "QuantizeOptions",
    "Quantized",
    "WeightGrid",
    "fidelity",
    "parse_corrections",
    "parse_widths",
    "quantize",
    "quantize_with_grids",
]


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
        OptionError: weights wider than the target's; another number of time steps than the
            network sums over.
        InputError: calibration data that does not fit the network.
    """
    if options.leak is not None:
        trained = normalise(network)
        changed, told = with_leaks(trained, options.leak, calibration)
        exact = replace(options, leak=None)
        done = _quantized(changed, target, exact, calibration, trained)
        return Quantized(done.network, {**done.report, "leaks": told})
    return _quantized(network, target, options, calibration, None)


def quantize_with_grids(
    network: Network,
    target: Target,
    options: QuantizeOptions,
    calibration: Mapping[str, RealArray] | None = None,
) -> tuple[Quantized, dict[str, WeightGrid]]:
    """As ``quantize`` without corrections and budget, and the grid of every weight.

    Args:
        network: normalised, so that its operators are those that are quantized.
        target, options, calibration: as of ``quantize``.

    Raises:
        SnncError: as ``quantize``; weights with several grids.
    """
    options = _checked(network, target, options)
    layers: list[tuple[Layer, int]] = []
    done = _Quantizer(network, target, options, calibration).run(layers)
    return done, weight_grids(network, layers)


def _checked(network: Network, target: Target, options: QuantizeOptions) -> QuantizeOptions:
    """The options with the steps of a sample, if the target can express the network."""
    products = (Mul, MatMul, Reduce, Pool)  # legalize decides about them in their integer form
    found = [f for f in verdicts(network, target) if not isinstance(network.node[f.node], products)]
    require(found, target)
    options.largest_weight(target)
    return replace(options, timesteps=sample_steps(network, options.timesteps))


def _quantized(
    network: Network,
    target: Target,
    options: QuantizeOptions,
    calibration: Mapping[str, RealArray] | None,
    trained: Network | None,
) -> Quantized:
    """``trained``: what corrections bring the integers nearer to; None = the network itself."""
    options = _checked(network, target, options)
    folded = normalise(network)
    if options.correct and not calibration:
        raise OptionError(
            "a correction needs calibration data", where="--correct",
            found=", ".join(options.correct), remedy="give --calibration",
        )  # fmt: skip
    if {"bias", "rates"} & set(options.correct):
        assert calibration is not None
        done = _corrected(folded, target, options, calibration, trained or folded)
    else:
        done = _uncorrected(folded, target, options, calibration)
    if "rounding" not in options.correct:
        return done
    return Quantized(done.network, {**done.report, "rounded_to_nearest": beyond_moments(folded)})


def _corrected(
    network: Network,
    target: Target,
    options: QuantizeOptions,
    data: Mapping[str, RealArray],
    trained: Network,
) -> Quantized:
    """Bias and rate corrections, on top of the calibrated rounding if that is asked for."""
    plain = replace(options, correct=tuple(c for c in options.correct if c == "rounding"))
    memory: dict[str, Any] = {}
    if options.memory_budget is not None:  # the widths are chosen once
        told = _uncorrected(network, target, plain, data).report["memory"]
        plain = replace(plain, layer_bits=told["widths"], memory_budget=None)
        memory = {"memory": told}
    known = _moments(network, plain, data)

    def again(changed: Network, scales: Mapping[str, RealArray]) -> Quantized:
        return _Quantizer(changed, target, plain, data, known, scales).run()

    done = corrected(network, trained, target, options.correct, data, again)
    return Quantized(done.network, {**done.report, **memory})


def _moments(
    network: Network, options: QuantizeOptions, data: Mapping[str, RealArray] | None
) -> dict[str, RealArray]:
    if "rounding" not in options.correct or not data:
        return {}
    return moments(network, affordable(network, data))


def _uncorrected(
    folded: Network,
    target: Target,
    options: QuantizeOptions,
    calibration: Mapping[str, RealArray] | None,
) -> Quantized:
    known = _moments(folded, options, calibration)
    if options.memory_budget is None:
        return _Quantizer(folded, target, options, calibration, known).run()
    candidates = _Quantizer(folded, target, options, calibration).candidates()
    widths = choose_widths(candidates, options.memory_budget)
    chosen = replace(options, layer_bits=widths, memory_budget=None)
    done = _Quantizer(folded, target, chosen, calibration, known).run()
    used = sum(c.synapses * widths[c.name] for c in candidates) / BITS_PER_KIB
    told = {"budget_kib": options.memory_budget, "used_kib": used, "widths": widths}
    return Quantized(done.network, {**done.report, "memory": told})


class _Quantizer:
    """Walks the populations in execution order and collects the integer nodes."""

    def __init__(
        self,
        network: Network,
        target: Target,
        options: QuantizeOptions,
        calibration: Mapping[str, RealArray] | None,
        known: Mapping[str, RealArray] | None = None,
        scales: Mapping[str, RealArray] | None = None,
    ) -> None:
        """``known``: second moments of inputs; ``scales``: factors on thresholds, per neuron."""
        self.moments, self.scales = known or {}, scales or {}
        self.network, self.target, self.options = network, target, options
        self.calibration = calibration or {}
        self.types, self.assumptions = input_types(network, target, options, calibration)
        grids = {name: kind.grid[0] for name, kind in self.types.items()}
        spikes = event_only(network)
        shared = shared_part(network, spikes)
        leaves = {n.name for n in network.nodes if isinstance(n, Input | RealNeuron | Output)}
        self.nodes: dict[str, IntegerNode] = {}
        self.counts: dict[str, dict[str, int]] = {}
        self.layer_names: list[str] = []
        self.named: set[str] = set()
        self.builder = TreeBuilder(network, grids, spikes, shared | leaves)
        for node in network.of_type(Input):
            self.nodes[node.name] = Input(node.name, node.shape, self.types[node.name])
        for name in sorted(shared):  # a set has no stable order
            self._share(name)
        # The counts of populations without a limit are bounded when their turn comes.
        limited = [n for n in network.of_type(RealNeuron) if n.threshold is None or n.multi_spike]
        self.types |= {n.name: self._emitted(n) for n in limited}

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

    def candidates(self) -> list[Candidate]:
        """What every population would cost and lose at the target's weight widths."""
        formats = self.target.core.weight.bits
        widths = [b for b in formats if 2 <= b <= self.options.weight_bits]
        result = []
        for neuron in self.network.of_type(RealNeuron):
            tree = self.builder.build(neuron)
            p = parameters(self.network, neuron, tree, self.target)
            rows = rows_of(tree, p.writers, p.gain)
            result.append(candidate(p, rows, widths or [self.options.weight_bits], self._power))
        return result

    def _power(self, name: str) -> float:
        """Mean square of one element of a tensor of spikes in a step; populations are guessed."""
        node = self.network.node[name]
        if isinstance(node, RealNeuron):
            return TYPICAL_RATE * max(1, node.multi_spike) ** 2
        if isinstance(node, Input):
            grid = self.types[name].grid[0]
            if name in self.calibration:
                return float(np.mean(np.square(self.calibration[name]))) / grid**2
            return TYPICAL_RATE * self.types[name].magnitude ** 2
        return max(self._power(source) for source in node.inputs if source != name)

    def run(self, layers: list[tuple[Layer, int]] | None = None) -> Quantized:
        """The integers; ``layers`` receives all populations with their largest weight integer."""
        reports = {}
        for neuron in self.network.of_type(RealNeuron):
            tree = self.builder.build(neuron)
            options = self.options.of_layer(self._width(neuron, tree))
            layer = self._layer(neuron, tree, options)
            if layers is not None:
                layers.append((layer, options.largest_weight(self.target)))
            reports[neuron.name] = layer_report(layer, self.target, options)
            if neuron.name in self.counts:
                reports[neuron.name]["count"] = self.counts[neuron.name]
        self._check_names()
        for output in self.network.of_type(Output):
            self.nodes[output.name] = output
        network = IntegerNetwork(
            self.network.name,
            tuple(self.nodes.values()),
            {**self.network.assumptions, **self.assumptions},
        )
        return Quantized(network, self._summary(reports))

    def _width(self, neuron: RealNeuron, tree: Tree) -> int | None:
        """The weight width asked for this population under its name or a writer's."""
        names = (neuron.name, *tree.writers)
        self.layer_names.extend(names)
        bits, used = width_of(names, self.options.layer_bits)
        self.named |= used
        return bits

    def _check_names(self) -> None:
        unknown = sorted(set(self.options.layer_bits) - self.named)
        if unknown:
            raise OptionError(
                "no such layer",
                where="--weight-bits",
                found=", ".join(unknown),
                allowed=", ".join(sorted(set(self.layer_names))),
            )

    def _layer(self, neuron: RealNeuron, tree: Tree, options: QuantizeOptions) -> Layer:
        check_order(self.network, neuron, set(self.types))
        nodes = {**self.nodes, **self._neuron_stubs()}

        def attempt(form: RealNeuron) -> Layer:
            p = parameters(self.network, form, tree, self.target)
            if neuron.name in self.scales:
                p = p.scaled(self.scales[neuron.name])
            rows = rows_of(tree, p.writers, p.gain)
            return LayerQuantizer(
                p, tree, rows, self.target, options, nodes, self.types, self.moments
            ).run()

        if neuron.name in self.types:
            layer = attempt(neuron)
        else:
            layer = self._bounded(neuron, tree, attempt, nodes)
        self.nodes |= {writer.name: writer for writer in layer.writers}
        self.nodes |= tree.inner
        self.nodes[neuron.name] = layer.neuron
        if not np.isfinite(layer.steps).all():
            raise UnsupportedError("the weights are too small to quantize", where=neuron.name)
        return layer

    def _bounded(
        self,
        neuron: RealNeuron,
        tree: Tree,
        attempt: Callable[[RealNeuron], Layer],
        nodes: Mapping[str, IntegerNode],
    ) -> Layer:
        """The layer with as many levels as it can reach; more levels may coarsen the grid."""
        levels, needed, most = 0, 1, self.options.max_spikes or MOST
        while needed > levels < most:
            if needed > MOST and self.options.max_spikes is None:
                raise too_many(neuron, needed)
            levels = min(needed, most)
            layer = attempt(replace(neuron, multi_spike=levels))
            made = {**nodes, **tree.inner, **{writer.name: writer for writer in layer.writers}}
            needed = levels_needed(layer, interval(made, tree.root, self.types)[1])
        self.types[neuron.name] = events(-neuron.negative_spikes, levels)
        self.counts[neuron.name] = {"limit": levels, "reachable": needed}
        why = "proven from the weights and the types of its inputs"
        if needed > levels:
            why = "as --max-spikes asks; the potential keeps what is beyond"
        self.assumptions[f"count.{neuron.name}"] = f"at most {levels} spikes per step, {why}"
        return layer

    def _neuron_stubs(self) -> dict[str, IntegerNode]:
        """Leaves for the interval analysis: a population's shape, under the type it emits."""
        return {
            n.name: Input(n.name, n.shape, self.types[n.name])
            for n in self.network.of_type(RealNeuron)
            if n.name not in self.nodes and n.name in self.types
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
