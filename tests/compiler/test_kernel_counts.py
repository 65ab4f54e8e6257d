"""Kernels of a division, counted and chosen as brute force does."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from support import nets
from support.kernels import STEPS, machine, metered, paid_per_axon, several

from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.partition.kernels import counts_of_cores
from snnc.compiler.partition.tiling import measure
from snnc.compiler.retime import retime
from snnc.ir.errors import CapacityError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Conv

Way = tuple[str, int, int, int]
WAYS: dict[tuple[str, str], Way] = {
    ("in", "n1"): ("c1", 36, 36, 9),
    ("n1", "n2"): ("c2", 36, 36, 9),
    ("n1", "n3"): ("c3", 36, 9, 9),
    ("n2", "n3"): ("c3", 36, 9, 9),
    ("n1", "n4"): ("p c4", 36, 4, 16),
    ("n3", "n5"): ("", 9, 9, 1),
}
"""Of ``several``: operator, pixels of input and output channels, taps; written by hand."""


def families_of(
    synapses: list[tuple[Any, ...]], home: dict[tuple[str, int], int], ways: dict[Any, Way]
) -> dict[Any, dict[str, Any]]:
    """By (core, sender, delay): synapses by axon, and kernels with their taps."""
    found: dict[Any, dict[str, Any]] = defaultdict(lambda: {"rows": defaultdict(int), "taps": {}})
    for sender, population, delay, source, neuron in synapses:
        operator, pixels, outputs, taps = ways[sender, population]
        family = found[home[population, neuron], sender, delay]
        family["rows"][source] += 1
        kernel = population, operator, source // pixels, neuron // outputs
        family["taps"][kernel] = taps
    return found


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_brute_force(seed: int, pruned: bool) -> None:
    network = several(seed, pruned)
    meter, synapses = metered(network, machine())
    rng = np.random.default_rng([seed, 1])
    cores = int(rng.choice([2, 5, 30, 120]))
    core = rng.integers(cores, size=meter.wiring.neurons)
    core[:cores] = np.arange(cores)
    home = {
        (node.name, k): int(core[meter.first[p] + k])
        for p, node in enumerate(meter.wiring.populations)
        for k in range(node.size)
    }
    expected = np.zeros((3, cores), np.int64)
    kernels: list[dict[Any, int]] = [{} for _ in range(cores)]
    for (at, _, _), family in families_of(synapses, home, WAYS).items():
        rows = sum(family["rows"].values())
        if sum(family["taps"].values()) < rows:
            kernels[at] |= family["taps"]
        else:
            expected[2, at] += rows
    expected[0] = [len(found) for found in kernels]
    expected[1] = [sum(found.values()) for found in kernels]
    counts = counts_of_cores(meter, core, cores)
    for name, wanted in zip(
        ("n_kernels", "n_kernel_weights", "n_row_synapses"), expected, strict=True
    ):
        np.testing.assert_array_equal(counts[name], wanted, name)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_paid_per_axon_and_kernel_is_that_of_brute_force(seed: int) -> None:
    network = several(seed, seed % 2 == 0)
    meter, synapses = metered(network, paid_per_axon())
    rng = np.random.default_rng(seed)
    for population, node in enumerate(meter.wiring.populations):
        clusters = int(rng.integers(1, min(9, node.size + 1)))
        label = rng.integers(clusters, size=node.size)
        label[:clusters] = np.arange(clusters)
        tiling = measure(meter, population, (clusters,), label)
        home = {(node.name, k): int(cluster) for k, cluster in enumerate(label)}
        mine = [s for s in synapses if s[1] == node.name]
        expected = np.zeros(clusters, np.int64)
        bits, kernels = meter.bits[population], defaultdict[int, dict[Any, int]](dict)
        for (at, _, delay), family in families_of(mine, home, WAYS).items():
            rows = sum(16 + 10 * n for n in family["rows"].values())
            axons = len(family["rows"]) * (5 + delay.bit_length())
            if axons + sum(7 + bits * taps for taps in family["taps"].values()) < rows:
                kernels[at] |= family["taps"]
                expected[at] += axons
            else:
                expected[at] += rows
        for at, found in kernels.items():
            expected[at] += sum(7 + bits * taps for taps in found.values())
        np.testing.assert_array_equal(tiling.counts["synapse_mem"], expected, node.name)


def partitions(neurons: int, most: int) -> list[list[int]]:
    """All ways to number the cores of so many neurons, each partition once."""
    grown: list[list[int]] = [[]]
    for _ in range(neurons):
        grown = [
            [*p, core] for p in grown for core in range(min(max(p, default=-1) + 2, most))
        ]  # fmt: skip
    return grown


def line(seed: int) -> tuple[IntegerNetwork, dict[Any, Way]]:
    """Two convolutions of one axis with seven neurons at most."""
    rng = np.random.default_rng(seed)
    extent, channels = int(rng.integers(4, 6)), int(rng.integers(1, 3))
    middle, last = extent - 1, extent - 2
    if middle + channels * last > 7:
        channels = 1

    def conv(*shape: int) -> Conv:
        return Conv(rng.integers(1, 9, shape), (1,), ((0, 0),), (1,))

    network = IntegerNetwork("line", (
        Input("in", (1, extent), BIN),
        Linear("c1", ("in",), conv(1, 1, 2)), nets.fire("n1", "c1", (1, middle)),
        Linear("c2", ("n1",), conv(channels, 1, 2)), nets.fire("n2", "c2", (channels, last)),
        Output("out", ("n2",)),
    ))  # fmt: skip
    ways = {("in", "n1"): ("c1", extent, middle, 2), ("n1", "n2"): ("c2", middle, last, 2)}
    return network, ways


def test_success_and_refusal_are_those_of_brute_force() -> None:
    fit = []
    for seed in range(14):
        network, ways = line(seed)
        rng = np.random.default_rng([seed, 2])
        limit = {name: int(rng.integers(1, high)) for name, high in
                 (("cores", 5), ("neurons", 7), ("words", 7))}  # fmt: skip
        target = machine(**limit)
        meter, synapses = metered(network, target)
        names = [(p.name, k) for p in meter.wiring.populations for k in range(p.size)]

        def fits(core: list[int]) -> bool:
            used: dict[int, int] = defaultdict(int)
            stored: dict[Any, int] = {}
            home = dict(zip(names, core, strict=True))  # noqa: B023
            for (at, _, _), family in families_of(synapses, home, ways).items():  # noqa: B023
                rows, kernels = sum(family["rows"].values()), sum(family["taps"].values())
                if kernels < rows:
                    stored |= {(at, kernel): taps for kernel, taps in family["taps"].items()}
                else:
                    used[at] += rows
            for (at, _), taps in stored.items():
                used[at] += taps
            full = max(used.values(), default=0) > limit["words"]  # noqa: B023
            return not full and max(map(core.count, core)) <= limit["neurons"]  # noqa: B023

        fit.append(any(fits(core) for core in partitions(len(names), limit["cores"])))
        retiming = retime(network, target, STEPS)
        options = MapOptions(effort="low")
        if not fit[-1]:
            with pytest.raises(CapacityError, match="every partition was tried"):
                map_network(network, retiming, target, 1, None, options)
            continue
        mapping = map_network(network, retiming, target, 1, None, options)
        report = mapping.report["partition"]
        assert report["cores_lower_bound"] <= report["cores"]
    assert 4 <= sum(fit) <= 10
