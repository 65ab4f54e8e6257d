"""Random real networks: the graphs of ``random_networks`` with every kind of real neuron."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from support.random_networks import Options, random_network

from snnc.ir.network import Network
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Bias, Linear, Scale
from snnc.ir.real_neuron import RealAdaptation, RealNeuron
from snnc.ir.weights import with_values


def random_real_network(rng: np.random.Generator, options: Options | None = None) -> Network:
    """A network whose populations are drawn from all features of ``RealNeuron``."""
    model = random_network(int(rng.integers(2**31)), options or Options())
    nodes: list[Any] = []
    renamed: dict[str, str] = {}
    for node in model.order:
        node = replace(node, inputs=tuple(renamed.get(n, n) for n in node.inputs))
        if isinstance(node, Linear):
            scale = rng.normal(size=node.weights.values.shape) / 64
            weights = with_values(node.weights, node.weights.values * scale)
            nodes.append(replace(node, weights=weights))
            if rng.random() < 0.5:
                shape = model.shapes[node.name]
                bias = rng.normal(size=(shape[0], *(1,) * (len(shape) - 1))) / 4
                nodes.append(Bias(f"{node.name}.b", (node.name,), bias))
                nodes.append(Scale(f"{node.name}.s", (f"{node.name}.b",), rng.uniform(0.5, 2, ())))
                renamed[node.name] = f"{node.name}.s"
        elif isinstance(node, Neuron):
            nodes.append(random_real_neuron(rng, node))
        else:
            nodes.append(node)
    # A loop's delay comes first in the order and may read a renamed operator.
    fixed = [replace(n, inputs=tuple(_late(renamed, n.name, s) for s in n.inputs)) for n in nodes]
    return Network("random", tuple(fixed))


def _late(renamed: dict[str, str], reader: str, source: str) -> str:
    own = reader in (f"{source}.b", renamed.get(source))
    return source if own else renamed.get(source, source)


def random_real_neuron(rng: np.random.Generator, node: Neuron) -> RealNeuron:
    """Any legal combination of the fields."""
    shape = node.shape

    def draw(low: float, high: float) -> Any:
        kinds = [(), shape, (shape[0], *(1,) * (len(shape) - 1))]
        return rng.uniform(low, high, kinds[rng.integers(3)])

    fields: dict[str, Any] = {
        "decay": np.ones(()) if rng.random() < 0.3 else draw(0.2, 1),
        "gain": draw(0.5, 2) if rng.random() < 0.5 else np.ones(()),
        "offset": draw(-0.1, 0.1) if rng.random() < 0.3 else np.zeros(()),
        "threshold": None,
    }
    if rng.random() < 0.3:
        fields |= {"current_decay": draw(0.2, 1), "current_gain": draw(0.5, 2)}
    if rng.random() < 0.3:
        fields["initial"] = draw(-0.5, 0.5)
    if rng.random() < 0.2:
        fields["minimum"] = -float(rng.uniform(0.5, 2))
    if node.emit != "state":
        fields |= _firing(rng, draw)
    return RealNeuron(node.name, node.inputs, shape, **fields)


def _firing(rng: np.random.Generator, draw: Any) -> dict[str, Any]:
    reset = str(rng.choice(["zero", "subtract", "value", "none", "multiply"]))
    fields: dict[str, Any] = {
        "threshold": draw(0.5, 2), "comparator": str(rng.choice([">", ">="])), "reset": reset,
    }  # fmt: skip
    if reset == "value":
        fields["reset_value"] = draw(-0.5, 0.4)
    if reset == "multiply":
        fields["reset_factors"] = tuple(rng.uniform(0, 1, 2).tolist())
    timing = str(rng.choice(["now", "next_step", "snntorch_subtract"], p=[0.6, 0.3, 0.1]))
    fields["reset_timing"] = timing
    many = int(rng.integers(0, 4))
    kind = rng.integers(3)
    if kind == 0:
        fields |= {"multi_spike": many, "negative_spikes": int(rng.integers(0, 3))}
        fields["rounding"] = str(rng.choice(["floor", "half_even", "half_up"]))
    elif kind == 1:
        levels = np.sort(rng.uniform(0.3, 3, many + 1))
        fields |= {"multi_spike": many + 1, "ladder": levels}
    if timing == "now" and rng.random() < 0.4:
        fields |= {
            "refractory": int(rng.integers(1, 4)),
            "refractory_hold": bool(rng.random() < 0.5),
        }
    if timing == "now" and kind != 1 and rng.random() < 0.4:
        raised = bool(rng.random() < 0.5)
        fields["adaptation"] = RealAdaptation(
            draw(0.2, 1), draw(0.1, 1), draw(0.1, 1), in_reset=raised
        )
    return fields
