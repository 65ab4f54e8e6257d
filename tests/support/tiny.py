"""A deployment written by hand: two inputs, one population of two neurons on one core."""

from __future__ import annotations

import numpy as np
from support.small_target import small_target

from snnc.ir.deployment import Certificate, CoreTables, Deployment, RouteTables, Schedule
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense


def tiny_network() -> IntegerNetwork:
    """in[2] -> W [[3, -2], [1, 4]] -> two integrate-and-fire neurons of threshold 4 -> out."""
    return IntegerNetwork(
        "tiny",
        (
            Input("in", (2,), BIN),
            Linear("fc", ("in",), Dense(np.array([[3, -2], [1, 4]]))),
            Neuron("lif", ("fc",), (2,), np.array([4]), Reset("value")),
            Output("out", ("lif",)),
        ),
    )


def tiny_deployment() -> Deployment:
    """The network above on core (0, 0) of the test machine, fed by the host at router 0."""
    return Deployment(
        network=tiny_network(),
        target=small_target(),
        chips=1,
        schedule=Schedule(5, 1, {"in": 0, "lif": 0}),
        cores=CoreTables(
            location=np.array([[0, 0, 0]]),
            neuron_ptr=np.array([0, 2]),
            neuron_source=np.array([2, 3]),
            axon_ptr=np.array([0, 2]),
            axon_source=np.array([0, 1]),
            axon_delay=np.array([0, 0]),
            axon_encoding=np.array([0, 0]),
            synapse_ptr=np.array([0, 2, 4]),
            synapse_target=np.array([0, 1, 0, 1]),
            synapse_weight=np.array([3, 1, -2, 4]),
        ),
        routes=RouteTables(
            net_core=np.array([-1]),
            branch_ptr=np.array([0, 1]),
            branch_router=np.array([0]),
            branch_parent=np.array([-1]),
            delivery_ptr=np.array([0, 1]),
            delivery_branch=np.array([0]),
            delivery_core=np.array([0]),
            send_ptr=np.array([0, 1, 2, 2, 2]),
            send_net=np.array([0, 0]),
        ),
        certificate=Certificate(np.zeros((0, 3), np.int64), ("one core needs no channel",)),
        provenance={"model": "tiny", "seed": 0},
        report={"schema": "test", "numbers": [1, 2.5, None]},
    )
