"""Infeasible means infeasible: tiny networks against all partitions there are, by brute force."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from support import nets
from support.any_mapping import check_any_case
from support.tight_mapping import check_case, random_tight_network

from snnc.backends.targets import load
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.retime import retime
from snnc.ir.deployment import SourceSpace
from snnc.ir.errors import CapacityError
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.target import Target

STEPS = 2


def machine(rng: np.random.Generator, cores: int) -> tuple[Target, dict[str, int]]:
    """A row of cores with few neurons, axons, synapse bits, output axons and targets."""
    limit = {
        "neurons": int(rng.integers(1, 6)),
        "axons": int(rng.integers(2, 14)),
        "bits": int(rng.integers(100, 900)),
        "out": int(rng.integers(1, 12)),
        "targets": int(rng.integers(1, 5)),
    }
    data = load("toy-mesh").model_dump(by_alias=True)
    data["topology"] |= {
        "grid": (cores, 1),
        "usable_cores": cores,
        "max_chips": {"v": 1, "ev": "assumed"},
    }

    def wall(name: str, **use: object) -> dict[str, object]:
        return {"capacity": {"v": limit[name], "ev": "assumed"}, **use}

    data["core"] |= {
        "resources": {
            "neurons": wall("neurons", use="n_neurons"),
            "axons": wall("axons", use="n_axons_in"),
            "bits": wall("bits", use_per_axon={"sparse": "16 + f * 10"}),
            "out": wall("out", use="n_axons_out"),
        },
        "encodings": ("sparse",),
        "max_targets_per_neuron": limit["targets"],
    }  # fmt: skip
    return Target.model_validate(data), limit


def partitions(neurons: int, most: int) -> Iterator[list[int]]:
    """All ways to number the cores of so many neurons, each partition once."""

    def grow(prefix: list[int]) -> Iterator[list[int]]:
        if len(prefix) == neurons:
            yield prefix
            return
        for core in range(min(max(prefix, default=-1) + 2, most)):
            yield from grow([*prefix, core])

    return grow([])


def fits(
    synapses: list[tuple[int, int, int]], first: int, core: list[int], limit: dict[str, int]
) -> bool:
    """Recount every limit of a partition; synapses are (sender, delay, neuron)."""
    axons: dict[int, dict[tuple[int, int], int]] = {c: {} for c in core}
    targets: dict[int, set[int]] = {n: set() for n in range(len(core))}
    for sender, delay, neuron in synapses:
        row = axons[core[neuron]]
        row[sender, delay] = row.get((sender, delay), 0) + 1
        if sender >= first:
            targets[sender - first].add(core[neuron])
    return all(
        core.count(c) <= limit["neurons"]
        and len(rows) <= limit["axons"]
        and sum(16 + 10 * n for n in rows.values()) <= limit["bits"]
        and sum(len(targets[n]) for n in targets if core[n] == c) <= limit["out"]
        for c, rows in axons.items()
    ) and all(len(t) <= limit["targets"] for t in targets.values())


def verdicts(network: IntegerNetwork, seed: int) -> tuple[bool, bool, str]:
    """(ours, the truth, what was said)."""
    rng = np.random.default_rng(seed)
    cores = int(rng.integers(1, 5))
    target, limit = machine(rng, cores)
    parts = expand(network)
    retiming = retime(network, target, STEPS, expansion=parts)
    space = SourceSpace.of(network)
    first = space.total - sum(p.size for p in network.populations)
    synapses = [
        (space.first[p.source] + row, retiming.extra_delay[p.source, p.population, p.delay],
         space.first[p.population] + int(p.target[k]) - first)
        for p in parts.projections
        for row in range(p.row_ptr.size - 1)
        for k in range(p.row_ptr[row], p.row_ptr[row + 1])
    ]  # fmt: skip
    neurons = space.total - first
    truth = any(fits(synapses, first, core, limit) for core in partitions(neurons, cores))
    try:
        map_network(network, retiming, target, 1, None, MapOptions(effort="low"), parts)
    except CapacityError as error:
        return False, truth, str(error)
    return True, truth, ""


def tiny(seed: int) -> IntegerNetwork:
    """A random network of at most seven neurons."""
    rng = np.random.default_rng(seed)
    while True:
        network = random_tight_network(rng, 3, 5)
        if sum(p.size for p in network.populations) <= 7:
            return network


def disagreements(seeds: range) -> tuple[int, int, list[int]]:
    """(networks that fit, networks that do not, seeds on which we and brute force differ)."""
    fit, wrong = 0, []
    for seed in seeds:
        ours, truth, _ = verdicts(tiny(seed), seed)
        fit += truth
        if ours != truth:
            wrong.append(seed)
    return fit, len(seeds) - fit, wrong


def test_success_and_refusal_are_those_of_brute_force() -> None:
    fit, refused, wrong = disagreements(range(40))
    assert not wrong
    assert min(fit, refused) >= 10


@pytest.mark.slow
def test_success_and_refusal_are_those_of_brute_force_many_times() -> None:
    assert not disagreements(range(1000, 2000))[2]


def test_every_refusal_names_resource_need_and_limit() -> None:
    said = [
        text for seed in range(20) for _, truth, text in [verdicts(tiny(seed), seed)] if not truth
    ]
    for text in said:
        assert "found:" in text
        assert "allowed:" in text
        assert "every partition was tried" in text
    assert said


def test_a_core_smaller_than_one_neuron_is_refused_by_name() -> None:
    data = load("toy-mesh").model_dump(by_alias=True)
    data["core"]["resources"]["neurons"]["capacity"]["v"] = 0
    network = nets.mlp((4, 3))
    target = Target.model_validate(data)
    with pytest.raises(CapacityError, match="neurons: 1 neuron for one neuron") as caught:
        map_network(network, retime(network, target, STEPS), target)
    assert "0 neuron per core: 1 neuron too many" in str(caught.value)


def test_too_many_cores_tell_whether_a_better_partition_may_exist() -> None:
    network = nets.mlp((500, 40 * 64))
    target = load("toy-mesh")
    with pytest.raises(CapacityError, match="no partition needs fewer"):
        map_network(network, retime(network, target, STEPS), target)


def test_a_refusal_promises_the_fewest_chips_that_do() -> None:
    """Of networks small enough for the exact partition, whose number of cores is the least."""
    promises = 0
    for seed in range(20_000, 20_060):
        network, cores = tiny(seed), int(np.random.default_rng(seed).integers(1, 5))
        text = verdicts(network, seed)[2]
        found = re.search(r"found: +(\d+) cores; (?s:.*) (\d+) chips are needed", text)
        if found:
            least, chips = int(found[1]), int(found[2])
            assert chips == -(-least // cores)
            assert "no partition needs fewer\n" in text
            promises += 1
    assert promises >= 5


def test_every_resource_that_one_neuron_exceeds_is_named() -> None:
    data = load("toy-mesh").model_dump(by_alias=True)
    data["core"]["resources"]["synapse_mem"]["capacity"]["v"] = 60
    data["core"]["resources"]["input_axons"]["capacity"]["v"] = 2
    network = nets.mlp((9, 3))
    target = Target.model_validate(data)
    with pytest.raises(CapacityError, match="a single neuron does not fit") as caught:
        map_network(network, retime(network, target, STEPS), target)
    assert "input_axons: 9 axon; synapse_mem: " in caught.value.found
    assert "2 axon per core: 7 axon too many; 60 bit per core: " in caught.value.allowed


@pytest.mark.parametrize("block", range(2))
def test_networks_with_every_option_drawn_are_exact_or_refused(block: int) -> None:
    ends = {check_any_case(seed) for seed in range(100_000 + 7 * block, 100_007 + 7 * block)}
    assert any(end.endswith("exact") for end in ends)


@pytest.mark.parametrize("block", range(2))
def test_random_networks_on_random_machines_are_exact_or_refused(block: int) -> None:
    ends = {check_case(seed, 3) for seed in range(10 * block, 10 * block + 10)}
    assert "mapped, checked, exact" in ends


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_hundreds_of_random_networks_are_exact_or_refused(block: int) -> None:
    for seed in range(10_000 + 60 * block, 10_000 + 60 * block + 60):
        check_case(seed)
