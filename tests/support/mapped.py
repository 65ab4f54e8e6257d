"""A small convolutional network, written down as integers and mapped onto a shipped target."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np

from snnc.backends import targets
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.retime import retime
from snnc.compiler.summary import summarize
from snnc.compiler.verify import verify
from snnc.ir.arrays import RealArray
from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset, StateRange
from snnc.ir.nodes import Index, Input, Linear, Output
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv, Dense

STEPS = 6
RANGE = StateRange(-(2**23) + 1, 2**23 - 1)


def small_network(seed: int = 0) -> IntegerNetwork:
    """in (1, 6, 6) -> conv -> 4 x 6 x 6 neurons -> dense -> 5 neurons -> out."""
    random = np.random.default_rng(seed)
    kernel = 2 * random.integers(-30, 64, (4, 1, 3, 3))
    dense = 2 * random.integers(-40, 64, (5, 144))
    threshold = np.array([64 * 3 + 1])
    return IntegerNetwork(
        "small",
        (
            Input("in", (1, 6, 6), BIN),
            Linear("conv", ("in",), Conv(kernel, (1, 1), ((1, 1), (1, 1)), (1, 1))),
            Neuron("lif1", ("conv",), (4, 6, 6), threshold, Reset("value"), state_range=RANGE),
            Index("flat", ("lif1",), (144,)),
            Linear("fc", ("flat",), Dense(dense)),
            Neuron("lif2", ("fc",), (5,), threshold, Reset("value"), state_range=RANGE),
            Output("out", ("lif2",)),
        ),
    )


def small_deployment(target: str = "loihi1") -> Deployment:
    """The network on a chip, verified, with its report."""
    rates = {"in": np.full(36, 0.6), "lif1": np.full(144, 1.5), "lif2": np.full(5, 2.0)}
    return deployed(small_network(), rates, target)


def camera_deployment() -> Deployment:
    """Events of a camera of 4 x 4 pixels -> dense -> 3 neurons -> out."""
    random = np.random.default_rng(1)
    network = IntegerNetwork(
        "camera",
        (
            Input("in", (2, 4, 4), ValueType("cnt", 255)),
            Index("flat", ("in",), (32,)),
            Linear("fc", ("flat",), Dense(2 * random.integers(-40, 64, (3, 32)))),
            Neuron("lif", ("fc",), (3,), np.array([193]), Reset("value"), state_range=RANGE),
            Output("out", ("lif",)),
        ),
    )
    return deployed(network, {"in": np.full(32, 0.6), "lif": np.full(3, 2.0)}, "loihi1")


def deployed(network: IntegerNetwork, rates: Mapping[str, RealArray], target: str) -> Deployment:
    """A network on a chip, verified, with its report."""
    machine = targets.load(target)
    retiming = retime(network, machine, STEPS)
    mapping = map_network(network, retiming, machine, 1, rates, MapOptions())
    draft = Deployment(
        network=network,
        target=machine,
        chips=1,
        schedule=retiming.schedule,
        cores=mapping.cores,
        routes=mapping.routes,
        certificate=mapping.certificate,
        provenance={
            "versions": {"snnc": "test"},
            "model": {"name": "small.nir", "sha256": "0" * 64},
            "options": {"seed": 0},
            "assumptions": {"dialect": "none: written as integers"},
            "inputs": None,
        },
        report={},
    )
    quantized = SimpleNamespace(report={})
    stages = {"quantize": quantized, "retime": retiming, "map": mapping}
    return summarize(dataclasses.replace(draft), verify(draft).as_dict(), stages, rates)
