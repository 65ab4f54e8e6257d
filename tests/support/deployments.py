"""A small network with a skip edge and a loop, mapped naively and certified: input of checkers."""

from __future__ import annotations

from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
from support.simple_mapping import Options, Path, simple_mapping, x_then_y

from snnc.ir.deployment import Certificate, Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset, StateRange
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.types import BIN
from snnc.ir.weights import Dense

MEMBRANE = StateRange(-(2**23), 2**23 - 1)


def small_network(seed: int = 0, **changes: Any) -> IntegerNetwork:
    """x -> a (recurrent) -> b, with a skip x -> b; ``changes`` are fields of population b."""
    rng = np.random.default_rng(seed)

    def dense(name: str, source: str, out: int, inputs: int) -> Linear:
        values = rng.integers(1, 100, (out, inputs)) * rng.choice([-1, 1], (out, inputs))
        return Linear(name, (source,), Dense(np.where(rng.random((out, inputs)) < 0.8, values, 0)))

    a = Neuron(
        "a", ("in_a",), (10,), np.array([65]), Reset("value"), state_range=MEMBRANE
    )  # fmt: skip
    b = replace(a, name="b", inputs=("in_b",), shape=(6,), thresholds=np.array([129]))
    nodes = (
        Input("x", (12,), BIN),
        dense("l1", "x", 10, 12),
        Delay("old", ("a",), 1),
        dense("loop", "old", 10, 10),
        Add("in_a", ("l1", "loop")),
        a,
        dense("l2", "a", 6, 10),
        dense("skip", "x", 6, 12),
        Add("in_b", ("l2", "skip")),
        replace(b, **changes),
        Output("y", ("b",)),
    )
    return IntegerNetwork("small", nodes)


def small_deployment(
    target: Target,
    network: IntegerNetwork | None = None,
    *,
    neurons_per_core: int = 4,
    path: Path = x_then_y,
    chips: int = 1,
) -> Deployment:
    """The network on a few scattered cores, with a certificate."""
    options = Options(neurons_per_core=neurons_per_core, seed=3)
    mapped = simple_mapping(network or small_network(), target, 8, chips, options, path)
    return certified(mapped)


def certified(deployment: Deployment) -> Deployment:
    """The deployment with a topological order of the channels of its trees."""
    routes = deployment.routes
    graph: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for net in range(routes.nets):
        nodes = slice(routes.branch_ptr[net], routes.branch_ptr[net + 1])
        router, parent = routes.branch_router[nodes].tolist(), routes.branch_parent[nodes].tolist()
        for node, up in enumerate(parent):
            if up >= 0:
                before = graph.setdefault((router[up], router[node]), set())
                if parent[up] >= 0:
                    before.add((router[parent[up]], router[up]))
    order = [(*channel, 0) for channel in TopologicalSorter(graph).static_order()]
    channels = np.array(order, np.int64).reshape(-1, 3)
    return replace(deployment, certificate=Certificate(channels, ("one virtual channel",)))
