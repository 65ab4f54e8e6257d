"""Means and spike rates of the integers, corrected on calibration data, population by population.

``bias``: what rounding (of its own weights, and of everything before it) adds to a channel's mean
input is taken off its bias (Nagel et al., "Data-Free Quantization", ICCV 2019, measured instead of
derived).  ``rates``: a channel's thresholds, and what its reset subtracts, are scaled until it
sends as many spikes as in the trained network.  Both see the populations before them as corrected;
loops see the first pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.quantize.fidelity import ADDITIONS, additions
from snnc.compiler.quantize.leaks import spread
from snnc.compiler.quantize.options import Quantized
from snnc.compiler.quantize.trees import constants
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.target import Target
from snnc.simulators.reference import run
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.reference.real import run_real

FACTORS = 1.35 ** (np.arange(-15, 16) / 15)  # tried on thresholds; 1 in the middle
Data = Mapping[str, RealArray]
Requantize = Callable[[Network, Mapping[str, RealArray]], Quantized]
"""From a network and factors on thresholds by population."""


def affordable(network: Network, data: Data) -> dict[str, RealArray]:
    """The first samples of the data, as many as NumPy runs in some seconds."""
    steps = next(iter(data.values())).shape[1]
    count = max(1, int(ADDITIONS / max(1.0, steps * additions(network))))
    return {name: np.asarray(values[:count], np.float64) for name, values in data.items()}


def corrected(
    network: Network,
    trained: Network,
    target: Target,
    kinds: tuple[str, ...],
    data: Data,
    requantize: Requantize,
) -> Quantized:
    """The quantized network after the corrections, with their sizes in the report.

    Args:
        network: real and normalised.
        trained: the same populations as trained, where decays were approximated.
        kinds: "bias", "rates" or both.
        data: calibration data by input name, [samples, steps, *shape].

    Raises:
        UnsupportedError: a bias to correct on a target without bias registers.
    """
    if "bias" in kinds and target.neuron.bias_bits is None:
        raise UnsupportedError(
            f"the neurons of {target.id} have no bias register", where="--correct",
            found="bias", remedy="leave it out",
        )  # fmt: skip
    part = affordable(network, data)
    wanted = _Means(trained, part)
    scales: dict[str, RealArray] = {}
    report: dict[str, Any] = {}
    done = requantize(network, scales)
    for name in [n.name for n in network.order if isinstance(n, RealNeuron)]:
        told = report.setdefault(name, {})
        if "bias" in kinds:
            shift = wanted.input[name] - _mean_input(done.network, part, name)
            told["mean_shift"] = float(np.abs(shift).max())
            network = _with_offset(network, name, shift)
            done = requantize(network, scales)
        neuron = done.network.node[name]
        assert isinstance(neuron, Neuron)
        if "rates" in kinds and neuron.emit == "count":
            factors, before, after = _match(done.network, part, neuron, wanted.spikes[name], target)
            told |= {"spikes_off": before, "spikes_off_after": after}
            if bool((factors != 1).any()):
                scales[name] = factors
                done = requantize(network, scales)
    samples = len(next(iter(part.values())))
    return Quantized(
        done.network, {**done.report, "corrections": {"samples": samples, "layers": report}}
    )


class _Means:
    """Of the trained network: mean weighted input and spikes per channel and population."""

    def __init__(self, network: Network, data: Data) -> None:
        neurons = network.of_type(RealNeuron)
        shape = next(iter(data.values())).shape[:2]
        self.input: dict[str, RealArray] = {n.name: np.zeros(n.shape) for n in neurons}
        self.spikes: dict[str, RealArray] = {n.name: np.zeros(_channels(n.shape)) for n in neurons}

        def add(value: Mapping[str, Any]) -> None:
            for n in neurons:
                self.input[n.name] += value[n.inputs[0]].mean(0) / shape[1]
                self.spikes[n.name] += _per_channel(np.abs(value[n.name]).sum(0), np.sum)

        run_real(network, data, record=(), observe=add)
        for n in neurons:
            for onset, value in constants(network, n.inputs[0]).items():
                self.input[n.name] -= value * max(0, shape[1] - onset) / shape[1]
            gain = n.gain if n.current_gain is None else n.gain * n.current_gain
            self.input[n.name] = _per_channel(self.input[n.name] * gain, np.mean)


def _channels(shape: tuple[int, ...]) -> int:
    return shape[0] if shape else 1


def _per_channel(values: Any, how: Callable[..., Any]) -> RealArray:
    """[*shape] reduced to one number per channel."""
    shape = np.shape(values)
    result: RealArray = how(np.reshape(values, (_channels(shape), -1)), axis=1)
    return result


def _integers(network: IntegerNetwork, data: Data) -> dict[str, IntArray]:
    kinds = {n.name: n.type for n in network.of_type(Input)}
    return {
        name: np.clip(np.rint(x / kinds[name].grid[0]), kinds[name].low, kinds[name].high).astype(
            np.int64
        )
        for name, x in data.items()
    }


def _inputs(network: IntegerNetwork, data: Data, name: str) -> list[IntArray]:
    """Summed input of one population, by step."""
    neuron, seen = network.node[name], []
    run(network, _integers(network, data), record=(),
        observe=lambda value: seen.append(value[neuron.inputs[0]]))  # fmt: skip
    return seen


def _mean_input(network: IntegerNetwork, data: Data, name: str) -> RealArray:
    """In the numbers of the trained network, per channel."""
    neuron = network.node[name]
    assert isinstance(neuron, Neuron)
    mean = np.mean([x.mean(0) for x in _inputs(network, data, name)], axis=0)
    result: RealArray = (
        _per_channel(mean, np.mean) * np.array(neuron.grid) * (1 << neuron.input_shift)
    )
    return result


def _with_offset(network: Network, name: str, shift: RealArray) -> Network:
    """The population gains a constant input; what a synaptic current sums up is foreseen."""
    neuron = network.node[name]
    assert isinstance(neuron, RealNeuron)
    full = spread(shift, neuron.shape)
    if neuron.current_decay is not None:
        full = full / np.maximum(1 - neuron.current_decay, 1e-3)
    size = 1.0 if neuron.threshold is None else float(np.max(np.abs(neuron.threshold)))
    full = np.where(np.abs(full) <= 1e-9 * size, 0.0, full)  # exact grids stay exact
    changed = replace(neuron, offset=neuron.offset + full)
    return replace(network, nodes=tuple(changed if n is neuron else n for n in network.nodes))


def _match(
    network: IntegerNetwork, data: Data, neuron: Neuron, wanted: RealArray, target: Target
) -> tuple[RealArray, int, int]:
    """Factors [*shape] on the thresholds; spikes per channel that are off, summed."""
    inputs = _inputs(network, data, neuron.name)
    off = np.stack([np.abs(_count(neuron, inputs, factor) - wanted) for factor in FACTORS])
    if len(neuron.shape) == 1 and any("threshold" in t.key for t in target.core.tables.values()):
        best = np.full(off.shape[1], _best(off.sum(1, keepdims=True)))  # few thresholds per core
    else:
        best = _best(off)
    middle = len(FACTORS) // 2
    after = np.take_along_axis(off, best[None], 0).sum()
    return spread(FACTORS[best], neuron.shape), int(off[middle].sum()), int(after)


def _best(off: RealArray) -> IntArray:
    """Index of the factor with the least difference per column, of equals the nearest to 1."""
    near = np.argsort(np.abs(np.log(FACTORS)), kind="stable")
    result: IntArray = near[off[near].argmin(0)]
    return result


def _count(neuron: Neuron, inputs: list[IntArray], factor: float) -> RealArray:
    """Spikes per channel with scaled thresholds."""
    up, down = (
        np.maximum(1, np.ceil(levels * factor - 1e-9)).astype(np.int64)
        for levels in (neuron.thresholds, neuron.negative_thresholds)
    )
    scaled = replace(neuron, thresholds=up, negative_thresholds=down)
    if neuron.reset.kind == "subtract":
        removed = np.maximum(1, np.rint(neuron.reset.amount * factor)).astype(np.int64)
        scaled = replace(scaled, reset=replace(neuron.reset, amount=removed))
    state = PopulationState(scaled, len(inputs[0]))
    total = sum(np.abs(state.step(x, t)).sum(0) for t, x in enumerate(inputs))
    return _per_channel(total, np.sum)
