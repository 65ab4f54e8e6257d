"""Random small networks on random small machines: tiny capacities, defects, several chips."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from support import nets
from support.conv_networks import random_convolutions
from support.mapping_check import deployment
from support.random_networks import random_inputs

from snnc.backends.targets import load
from snnc.compiler.fanin import may_overflow, split_fan_in
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.objective import TERMS, Objective
from snnc.compiler.pins import parse_pins
from snnc.compiler.retime import retime
from snnc.compiler.verify import verify
from snnc.compiler.verify.fanout import Fanout
from snnc.compiler.verify.kernels import stored_kernels
from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject
from snnc.compiler.wire import wire_codes
from snnc.ir.arrays import size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import CapacityError, OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output
from snnc.ir.shared_expansion import expand_large
from snnc.ir.target import Target
from snnc.ir.topology import mesh_of
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Sparse
from snnc.simulators import cycle, reference


def random_tight_network(
    rng: np.random.Generator, populations: int = 4, width: int = 24
) -> IntegerNetwork:
    """Integrate-and-fire layers: dense, sparse or convolutions, with skips, delays and loops."""
    shape: tuple[int, ...] = (2, 4, 4) if rng.random() < 0.4 else (int(rng.integers(1, width)),)
    nodes: list[Any] = [Input("in", shape, BIN)]
    known: dict[str, tuple[int, ...]] = {"in": shape}
    for k in range(int(rng.integers(1, populations + 1))):
        name = f"n{k}"
        source = list(known)[-int(min(rng.geometric(0.6), len(known)))]
        terms, shape = _branch(rng, nodes, f"a{k}", source, known[source], None, width)
        if rng.random() < 0.3:
            other = str(rng.choice(list(known)))
            extra, _ = _branch(rng, nodes, f"b{k}", other, known[other], size_of(shape), width)
            nodes.append(Index(f"i{k}", extra, shape))
            terms = (*terms, f"i{k}")
        if rng.random() < 0.25:
            nodes.append(Delay(f"z{k}", (name,), int(rng.integers(1, 4))))
            flat = (size_of(shape),)
            nodes.append(Index(f"f{k}", (f"z{k}",), flat))
            loop, _ = _sparse(rng, nodes, f"r{k}", f"f{k}", flat[0], flat[0])
            nodes.append(Index(f"g{k}", (loop,), shape))
            terms = (*terms, f"g{k}")
        summed = terms[0]
        if len(terms) > 1:
            nodes.append(Add(f"s{k}", terms))
            summed = f"s{k}"
        threshold = int(rng.integers(20, 200))
        nodes.append(nets.fire(name, summed, shape, threshold))
        known[name] = shape
    nodes.append(Output("out", (list(known)[-1],)))
    return IntegerNetwork("tight", tuple(nodes))


def _branch(
    rng: np.random.Generator, nodes: list[Any], name: str, source: str, shape: tuple[int, ...],
    size: int | None, width: int,
) -> tuple[tuple[str, ...], tuple[int, ...]]:  # fmt: skip
    if rng.random() < 0.2:
        nodes.append(Delay(f"{name}.late", (source,), int(rng.integers(1, 4))))
        source = f"{name}.late"
    if len(shape) == 3 and size is None and rng.random() < 0.7:
        values = rng.integers(-127, 128, (int(rng.integers(1, 4)), shape[0], 3, 3))
        weights = Conv(values, (1, 1), ((1, 1), (1, 1)), (1, 1))
        nodes.append(Linear(name, (source,), weights))
        return (name,), weights.output_shape(name, shape)
    if len(shape) > 1:
        nodes.append(Index(f"{name}.flat", (source,), (size_of(shape),)))
        source = f"{name}.flat"
    out = size or int(rng.integers(1, width))
    if rng.random() < 0.4:
        found, _ = _sparse(rng, nodes, name, source, out, size_of(shape))
        return (found,), (out,)
    nodes.append(Linear(name, (source,), nets.dense(rng, out, size_of(shape), 0.9)))
    return (name,), (out,)


def _sparse(
    rng: np.random.Generator, nodes: list[Any], name: str, source: str, out: int, into: int
) -> tuple[str, int]:
    row, column = np.nonzero(rng.random((out, into)) < rng.uniform(0.05, 0.5))
    pointers = np.searchsorted(row, np.arange(out + 1))
    values = rng.integers(1, 128, row.size) * rng.choice([-1, 1], row.size)
    nodes.append(Linear(name, (source,), Sparse(pointers, column, values, into, (out,))))
    return name, out


def random_tight_target(rng: np.random.Generator, roomy: float = 0.5) -> Target:
    """The toy mesh with some capacities cut down; ``roomy``: share of limits left generous."""
    data = load("toy-mesh").model_dump(by_alias=True)
    core, topology = data["core"], data["topology"]

    def tight(low: int, high: int, plenty: int) -> int:
        return plenty if rng.random() < roomy else int(rng.integers(low, high))

    resources = core["resources"]
    resources["neurons"]["capacity"]["v"] = tight(1, 16, 64)
    resources["input_axons"]["capacity"]["v"] = tight(6, 60, 2048)
    resources["synapse_mem"]["capacity"]["v"] = tight(600, 8000, 262144)
    if rng.random() < 0.3:
        use = {"capacity": {"v": tight(4, 80, 500), "ev": "assumed"}, "use": "n_axons_out"}
        resources["output_axons"] = use
    if rng.random() < 0.2:
        core["max_targets_per_neuron"] = int(rng.integers(1, 5))
    if rng.random() < 0.3:
        core["tables"] = {
            "thresholds": {"capacity": {"v": 1, "ev": "assumed"}, "key": ("threshold",)}
        }
    core["encodings"] = [("sparse",), ("dense", "sparse"), ("dense", "sparse", "bitmask")][
        int(rng.integers(3))
    ]
    width, height, slots = (int(v) for v in rng.integers(1, 5, 3))
    every = [(x, y, s) for x in range(width) for y in range(height) for s in range(slots)]
    broken = rng.random(len(every)) < (0.3 if rng.random() < 0.5 else 0.0)
    defects = tuple(c for c, bad in zip(every, broken, strict=True) if bad)
    if len(defects) == len(every):
        defects = ()
    topology |= {
        "grid": (width, height), "cores_per_router": slots, "usable_cores": len(every),
        "defects": defects, "host_router": (0, 0), "max_chips": {"v": 4, "ev": "assumed"},
    }  # fmt: skip
    data["noc"]["multicast"] = bool(rng.random() < 0.5)
    return Target.model_validate(data)


def with_kernels(seed: int, target: Target) -> Target:
    """The same machine whose cores may store kernels, paid per axon or by a formula of the core."""
    rng = np.random.default_rng([seed, 2])
    data = target.model_dump(by_alias=True)
    core = data["core"]
    core["encodings"] = (*core["encodings"], "kernel")
    memory = core["resources"]["synapse_mem"]
    if rng.random() < 0.5:
        kernel = str(rng.choice(["4 + delay_bits", "16", "0"]))
        memory["use_per_axon"] = {**memory["use_per_axon"], "kernel": kernel}
        each = ["taps * weight_bits", "40 + taps * weight_bits", "pow2_ceil(taps) * weight_bits"]
        memory["use_per_kernel"] = str(rng.choice(each))
    else:
        stored = "(n_row_synapses + n_kernel_weights) * weight_bits"
        memory["use_per_axon"] = None
        memory[str(rng.choice(["use", "lower_bound"]))] = str(rng.choice([
            stored, f"{stored} + 16 * n_kernels", f"ceil_div({stored}, 8) * 8 + 4 * n_axons_in",
        ]))  # fmt: skip
        if rng.random() < 0.3:
            table = {"capacity": {"v": int(rng.integers(2, 6)), "ev": "assumed"}}
            core["tables"] = {"rows": {**table, "key": ("encoding", "delay_bits")}}
    return Target.model_validate(data)


def random_wishes(
    seed: int, network: IntegerNetwork, target: Target, chips: int
) -> tuple[Target, str, MapOptions]:
    """Broken links between chips, pins and an objective, each in some cases only."""
    rng = np.random.default_rng([seed, 1])
    mesh = mesh_of(target, chips)
    if chips > 1 and rng.random() < 0.3:
        across = ((1, 0), (0, 0)) if mesh.width > mesh.chip_width else ((0, 0), (0, 1))
        topology = {**target.topology.model_dump(), "broken_chip_links": (across,)}
        target = Target.model_validate({**target.model_dump(by_alias=True), "topology": topology})
    pins = []
    for node in network.of_type(Neuron):
        if rng.random() < 0.2:
            x, y, slot = (int(rng.integers(n)) for n in
                          (mesh.width, mesh.height, mesh.cores_per_router))  # fmt: skip
            places = [f"{x},{y}", f"{x},{y},{slot}", f"chip:{int(rng.integers(chips))}"]
            pins.append(f"{node.name}@{places[int(rng.integers(3))]}")
    weights = {term: float(rng.integers(1, 100)) for term in TERMS if rng.random() < 0.3}
    objective = Objective(weights) if weights and rng.random() < 0.5 else Objective()
    text = ";".join(pins)
    options = MapOptions(seed=seed, effort="low", pins=parse_pins(text), objective=objective)
    return target, text, options


def check_case(seed: int, steps: int = 4, *, kernels: bool = False) -> str:
    """Map, check and run one random case; returns what it ended in.

    Args:
        kernels: convolutions, mostly, on a machine that may store kernels.

    Raises:
        AssertionError: the emulated chip does not fire the spikes of the reference.
        SnncError: anything but a network that does not fit.
    """
    rng = np.random.default_rng(seed)
    drawn = random_convolutions if kernels and rng.random() < 0.8 else random_tight_network
    network, target = drawn(rng), random_tight_target(rng, 0.7 if kernels else 0.5)
    chips = int(rng.integers(1, 4))
    target = with_kernels(seed, target) if kernels else target
    parts, mapped, split = expand_large(network, kernels=kernels), network, ""
    if may_overflow(network, parts, target):
        mapped = split_fan_in(network, parts, target, steps).network
        split = "" if mapped is network else ", fan-in split"
    retiming = retime(mapped, target, steps, codes=wire_codes(mapped, target))
    try:
        target, pins, options = random_wishes(seed, mapped, target, chips)
        mapping = map_network(mapped, retiming, target, chips, None, options)
    except OptionError as error:
        if not (error.where.startswith("--pin ") and error.found and error.allowed):
            raise
        return f"refused: {error.problem}"
    except CapacityError as error:
        if not (error.found and error.allowed):
            raise AssertionError("a refusal without amount and limit") from error
        return f"refused: {re.sub(r'[0-9]+ chips?', 'N chips', error.problem)}"
    deployed = deployment(mapped, retiming, target, chips, mapping)
    deployed = replace(deployed, provenance={"options": {"pin": pins}} if pins else {})
    verify(deployed)
    data = random_inputs(network, seed, 1, steps)
    expected = reference.run(network, data)
    assert not any(expected.mismatches(cycle.run(deployed, data).result).values()), seed
    stored = ", with kernels" if kernels and counted_kernels(deployed) else ""
    return f"mapped, checked, exact{split}{stored}"


def counted_kernels(deployed: Deployment) -> int:
    """The kernels of all cores, of which checker and report know the same number and weights.

    Raises:
        AssertionError: they do not, or the bound on the cores is above what was found.
    """
    report = deployed.report.get("map", deployed.report)
    assert report["partition"]["cores_lower_bound"] <= report["partition"]["cores"]
    links = Fanout(deployed.network).links
    counts = stored_kernels(Subject(deployed), links, Findings()).counts
    for name in ("kernels", "kernel_weights"):
        assert counts[f"n_{name}"].sum() == report["synapse_storage"][name]
    return int(counts["n_kernels"].sum())
