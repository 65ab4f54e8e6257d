"""What one neuron saw at one step: its input, its potential before the decision, its threshold.

The network runs once more, on the one sample up to that step, with an output on the population's
input; then the neuron runs alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from snnc.ir.arrays import AnyArray, size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Output
from snnc.ir.real_neuron import RealAdaptation, RealNeuron
from snnc.simulators import reference
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.reference.real import RealState, run_real

_NAME = "snnc.probe"


@dataclass(frozen=True)
class Probe:
    """One neuron at one step.

    Attributes:
        input: weighted sum that reaches it.
        potential: before the spike decision; of a sigma-delta neuron the size of the change.
        threshold: the lowest, with adaptation.
        comparator: of potential and threshold.
    """

    input: float
    potential: float
    threshold: float
    comparator: str

    def __str__(self) -> str:
        return (
            f"input {self.input:.17g}, potential {self.potential:.17g} {self.comparator} "
            f"{self.threshold:.17g}? {self.potential / self.threshold:.6g} of the threshold"
        )


def probe(
    network: Network | IntegerNetwork,
    inputs: Mapping[str, AnyArray],
    population: str,
    index: int,
    step: int,
    dtype: str = "float64",
) -> Probe | None:
    """Look at one neuron.

    Args:
        inputs: one sample [1, steps, *shape] by input name, as the network's simulator takes it.
        population: its name.
        index: flat index of the neuron.
        step: counted from 0.
        dtype: precision of real numbers.

    Returns:
        None for neurons whose reset comes late: theirs have no potential of one moment.
    """
    neuron: Any = network.node[population]
    short = {name: values[:, : step + 1] for name, values in inputs.items()}
    nodes: Any = (*network.nodes, Output(_NAME, neuron.inputs))
    if isinstance(network, Network):
        if neuron.reset_timing != "now":
            return None
        found = run_real(Network(network.name, nodes), short, (), dtype=dtype)
        return _real(neuron, found.outputs[_NAME].reshape(step + 1, -1)[:, index], index, dtype)
    result = reference.run(IntegerNetwork(network.name, nodes), short, ())
    return _integer(neuron, result.outputs[_NAME].reshape(step + 1, -1)[:, index], index)


def _real(neuron: RealNeuron, x: AnyArray, index: int, dtype: str) -> Probe:
    one = _single(neuron, index)
    state = RealState(one, 1, np.dtype(dtype))
    for value in x[:-1]:
        state.step(np.full((1, 1), value))
    open_end = replace(one, threshold=None, reset="none", reset_value=None, adaptation=None,
                       refractory=0, ladder=None)  # fmt: skip
    before = RealState(open_end, 1, np.dtype(dtype))
    before.v, before.current = state.v, state.current
    potential = before.step(np.full((1, 1), x[-1]))
    assert one.threshold is not None
    level = one.threshold if one.ladder is None else one.ladder[0]
    if one.adaptation is not None:
        level = level + one.adaptation.scale * state.a
    scale = 0.5 if one.rounding != "floor" else 1.0  # where the first count begins
    return Probe(float(x[-1]), float(potential.flat[0]), float(np.ravel(level)[0]) * scale,
                 one.comparator)  # fmt: skip


def _integer(neuron: Neuron, x: AnyArray, index: int) -> Probe:
    one = _single(neuron, index)
    state = PopulationState(one, 1)
    for t, value in enumerate(x[:-1]):
        state.step(np.full((1, 1), value), t)
    none = np.zeros(0, np.int64)
    before = PopulationState(
        replace(
            one, thresholds=none, negative_thresholds=none, emit="state", recovery=None, delta=None
        ),
        1,
    )
    before.v, before.current = state.v, state.current
    potential = before.step(np.full((1, 1), x[-1]), len(x) - 1)
    if one.delta is not None:  # it compares how far its activation is from what it has told
        y = np.maximum(potential, 0) if one.delta.activation == "relu" else potential
        potential = np.abs(y - state.a)
    level = one.thresholds[0] if one.levels else -one.negative_thresholds[0]
    if one.adaptation is not None:
        level = level + (one.adaptation.beta * state.a >> one.adaptation.beta_shift)
    if one.recovery is not None:
        level = level + state.q
    return Probe(float(x[-1]), float(potential.flat[0]), float(np.ravel(level)[0]), ">=")


def _single(neuron: Any, index: int) -> Any:
    """The population of this one neuron: every array parameter, also nested, at the index."""
    shape = neuron.shape

    def at(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            extra = value.ndim - len(shape)  # a ladder has its levels in front
            levels = value.shape[:extra] if extra > 0 else ()
            full = np.broadcast_to(value, (*levels, *shape)).reshape(*levels, size_of(shape))
            return full[..., index : index + 1]
        if isinstance(value, tuple) and value and hasattr(value[0], "__dataclass_fields__"):
            return tuple(at(part) for part in value)
        if isinstance(value, RealAdaptation) or hasattr(value, "__dataclass_fields__"):
            return replace(value, **{f.name: at(getattr(value, f.name)) for f in fields(value)})
        return value

    values = {f.name: at(getattr(neuron, f.name)) for f in fields(neuron)}
    grid = {"grid": neuron.grid[:1]} if isinstance(neuron, Neuron) else {}
    return replace(neuron, **(values | {"shape": (1,)} | grid))
