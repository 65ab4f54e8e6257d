"""SANA-FE's own DVS-gesture network on its own description of Loihi, as our deployment.

Files of SANA-FE are read where they lie (they are GPL-3.0 and never part of this repository):
``dvs_challenge.npz`` with weights, thresholds and one frame of pixels, and ``arch/loihi.yaml``.
Placement is that of its tutorial 5: layers are cut into 1, 4, 16, 16, 4 and 1 cores, taken in
order; a tile is a router, tiles go down the columns.  Weights of zero are stored, as there.

Every population runs in every tick, on what the one before it sent a tick earlier, so the logical
network has a delay of one step between layers.  The frame is a bias; the input that the network
needs has no synapses and only says how long a run is.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import sparse
from support.simple_mapping import joined, starts, tree, x_then_y

from snnc.ir.deployment import Certificate, CoreTables, Deployment, RouteTables, Schedule
from snnc.ir.expand import weight_matrix
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Neuron, Reset
from snnc.ir.nodes import Delay, Index, Input, Linear, Output
from snnc.ir.target import Cost, Target
from snnc.ir.topology import mesh_of
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense, Weights

LAYERS = ("conv1", "conv2", "conv3", "conv4", "dense1")
CORES = (1, 4, 16, 16, 4, 1)
SHIFT = 1 << 20  # added to weights while rows are built, so that zeros stay


def network(weights: Path) -> IntegerNetwork:
    """The layers; ``v > threshold`` is ``v >= threshold + 1``."""
    data = np.load(weights)
    thresholds = data["thresholds"].astype(np.int64) + 1
    frame = data["inputs"].astype(np.int64)
    nodes: list[Any] = [
        Input("length", (1,), BIN),
        Linear("none", ("length",), Dense(np.zeros((1024, 1), np.int64))),
        _neuron("input", "none", (1024,), thresholds[0], (GatedBias(frame),)),
        Index("image", ("input",), (1, 32, 32)),
    ]
    shape: tuple[int, ...] = (1, 32, 32)
    source = "image"
    for number, name in enumerate(LAYERS):
        operator = _operator(name, data[name].astype(np.int64))
        if isinstance(operator, Dense):
            shape = (operator.values.shape[1],)
            nodes.append(Index("flat", (source,), shape))
            source = "flat"
        shape = operator.output_shape(name, shape)
        nodes.append(Delay(f"late{number}", (source,), 1))
        nodes.append(Linear(f"w{number}", (f"late{number}",), operator))
        nodes.append(_neuron(name, f"w{number}", shape, thresholds[number + 1]))
        source = name
    return IntegerNetwork("dvs_gesture", (*nodes, Output("out", (source,))))


def _neuron(
    name: str, source: str, shape: tuple[int, ...], level: int, bias: tuple[GatedBias, ...] = ()
) -> Neuron:
    """Integrate, fire, reset to zero."""
    return Neuron(name, (source,), shape, np.array([level]), Reset("value"), bias=bias)


def _operator(name: str, values: np.ndarray[Any, Any]) -> Weights:
    """Kernels are stored [y, x, in, out], the dense matrix [in, out]."""
    if values.ndim == 2:
        return Dense(values.T)
    stride = (2, 2) if name == "conv1" else (1, 1)
    return Conv(values.transpose(3, 2, 0, 1), stride, ((0, 0), (0, 0)), (1, 1))


def target(description: Path) -> Target:
    """The machine of an architecture file: mesh, buffers, costs and the table of barriers."""
    chip = yaml.safe_load(description.read_text())["architecture"]
    machine, tile = chip["attributes"], chip["tile"][0]
    core = tile["core"][0]
    hops = tile["attributes"]
    soma, synapse, axon_in, axon_out = (
        core[stage][0]["attributes"] for stage in ("soma", "synapse", "axon_in", "axon_out")
    )
    events = {
        "synapse_op_dense": _cost(synapse, "process_spike"),
        "neuron_access": _cost(soma, "access_neuron"),
        "neuron_update": _cost(soma, "update_neuron"),
        "spike_generate": _cost(soma, "spike_out"),
        "message_out": _cost(axon_out, "message_out"),
        "message_in": _cost(axon_in, "message_in"),
        "hop_ew": _cost(hops, "east_hop"),
        "hop_ns": _cost(hops, "north_hop"),
    }
    return Target.model_validate(
        {
            "schema": "snnc-target/1",
            "id": "sanafe-loihi",
            "name": "Loihi as SANA-FE describes it",
            "summary": str(description),
            "sources": {"file": {"kind": "code", "ref": str(description)}},
            "execution": {
                "sync": "barrier",
                "cycle_s": _known(1e-9, "s"),
                "barrier_s": machine["latency_sync"],
                "barrier_between": "step",
            },
            "spike": {},
            "topology": {
                "grid": (machine["width"], machine["height"]),
                "cores_per_router": 4,
                "usable_cores": 4 * machine["width"] * machine["height"],
                "max_chips": _known(1),
            },
            "core": {"resources": {}, "encodings": ("dense",), "weight": {"bits": (10,)}},
            "neuron": {
                "comparator": ">",
                "leak": "none",
                "reset": {"zero": {}},
                "state_bits": 42,
                "update_when": "nonzero",
            },
            "noc": {
                "multicast": False,
                "buffer_packets": _known(machine["link_buffer_size"]),
            },
            "cost_sets": {"file": {"scope": "per_term", "events": events}},
            "default_cost": "file",
        }
    )


def _cost(unit: dict[str, Any], what: str) -> Cost:
    return Cost(energy=unit[f"energy_{what}"], latency=unit[f"latency_{what}"])


def _known(value: float, unit: str = "") -> dict[str, Any]:
    return {"v": value, "u": unit, "ev": "tool_code"}


def deployment(weights: Path, description: Path, steps: int) -> Deployment:
    """The network in SANA-FE's place, for runs of up to ``steps`` steps."""
    net, machine = network(weights), target(description)
    sizes = [population.size for population in net.populations]
    per_core = [size // count for size, count in zip(sizes, CORES, strict=True)]
    slots = []
    for size, count, each, first in zip(
        sizes, CORES, per_core, np.cumsum([0, *sizes[:-1]]), strict=True
    ):
        cuts = [*(each * i for i in range(count)), size]
        slots += [1 + first + np.arange(a, b) for a, b in itertools.pairwise(cuts)]
    mesh = mesh_of(machine, 1)
    router = np.arange(len(slots)) // 4
    location = np.stack([router // mesh.height, router % mesh.height, np.arange(len(slots)) % 4], 1)
    neuron_ptr = starts([ids.size for ids in slots])
    core_of = np.repeat(np.arange(len(slots)), np.diff(neuron_ptr))
    parts = [_rows(net, number, core_of) for number in range(len(LAYERS))]
    key, neuron, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    del parts
    axons, lengths = np.unique(key, return_counts=True)
    axon_core, axon_source = np.divmod(axons, 1 + core_of.size)
    none = np.zeros(axons.size, np.int64)
    cores = CoreTables(
        location,
        neuron_ptr,
        1 + np.arange(core_of.size),
        starts(np.bincount(axon_core, minlength=len(slots))),
        axon_source,
        none,
        none,
        starts(lengths),
        neuron - neuron_ptr.astype(np.int32)[core_of[neuron]],
        weight,
    )
    places = [mesh.router(int(x), int(y)) for x, y, _ in location]
    pairs, net_of = np.unique(
        core_of[axon_source - 1] * len(slots) + axon_core, return_inverse=True
    )
    ends = [divmod(int(pair), len(slots)) for pair in pairs]
    trees = [tree(mesh, places[a], [places[b]], x_then_y) for a, b in ends]
    by_source = np.argsort(axon_source, kind="stable")
    routes = RouteTables(
        np.array([a for a, _ in ends]),
        starts([len(t[0]) for t in trees]),
        joined([t[0] for t in trees]),
        joined([t[1] for t in trees]),
        np.arange(len(ends) + 1),
        joined([t[2] for t in trees]),
        np.array([b for _, b in ends]),
        starts(np.bincount(axon_source, minlength=1 + core_of.size)),
        net_of[by_source],
    )
    return Deployment(
        net, machine, 1, Schedule(steps, 1, {}), cores, routes,
        Certificate(np.zeros((0, 3), int), ()), {"mapper": "SANA-FE tutorial 5"}, {},
    )  # fmt: skip


def _rows(
    net: IntegerNetwork, number: int, core_of: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], ...]:
    """The stored synapses between two layers, sorted by core, then source.

    Returns:
        Core times (1 + neurons) + source id; neuron, numbered over all populations; weight.
    """
    populations = net.populations
    first = np.cumsum([0, *(p.size for p in populations)])
    operator = net.node[f"w{number}"].weights
    shifted = type(operator)(operator.values + SHIFT, *_rest(operator))
    matrix = sparse.coo_array(weight_matrix(shifted, net.shapes[f"late{number}"]))
    neuron = (first[number + 1] + matrix.row).astype(np.int32)
    key = core_of[neuron] * (1 + core_of.size) + 1 + first[number] + matrix.col
    order = np.argsort(key, kind="stable")
    weight = (matrix.data - SHIFT).astype(np.int16)
    return key[order].astype(np.int32), neuron[order], weight[order]


def _rest(operator: Weights) -> tuple[Any, ...]:
    if isinstance(operator, Conv):
        return operator.stride, operator.padding, operator.dilation
    return ()
