"""Convolutions stored as kernels: counts against brute force, bounds, the checker, execution."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import nets
from support.conv_networks import random_convolutions
from support.tight_mapping import check_case, counted_kernels

from snnc.backends.targets import check_target, load
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.options import CompileOptions
from snnc.compiler.partition.kernels import counts_of_cores
from snnc.compiler.partition.limits import Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.tiling import measure
from snnc.compiler.partition.wiring import wire
from snnc.compiler.pipeline import Compilation
from snnc.compiler.retime import retime
from snnc.compiler.verify import examine
from snnc.compiler.verify.convolutions import ways
from snnc.ir import artifact
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment, SourceSpace
from snnc.ir.errors import CapacityError
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output, Pool
from snnc.ir.shared_expansion import SharedExpansion, expand_large, expand_shared
from snnc.ir.target import Target
from snnc.ir.types import BIN
from snnc.ir.weights import Conv
from snnc.simulators import cycle, reference

STEPS = 3
ONE = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))
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


def several(seed: int, pruned: bool) -> IntegerNetwork:
    """Convolutions: by channel, of a sum of populations, behind a pool; and the identity."""
    rng = np.random.default_rng(seed)

    def conv(*shape: int, stride: int = 1, pad: Any = ONE, groups: int = 1) -> Conv:
        values = rng.integers(1, 5, shape)
        values = values * (rng.random(shape) < 0.6) if pruned else values
        return Conv(values, (stride, stride), pad, (1, 1), groups)

    return IntegerNetwork("several", (
        Input("in", (2, 6, 6), BIN),
        Linear("c1", ("in",), conv(3, 2, 3, 3)), nets.fire("n1", "c1", (3, 6, 6)),
        Linear("c2", ("n1",), conv(3, 1, 3, 3, groups=3)), nets.fire("n2", "c2", (3, 6, 6)),
        Add("a", ("n1", "n2")),
        Linear("c3", ("a",), conv(2, 3, 3, 3, stride=2)), nets.fire("n3", "c3", (2, 3, 3)),
        Pool("p", ("n1",), "sum", (2, 2), (2, 2), NONE),
        Linear("c4", ("p",), conv(2, 3, 2, 2, pad=NONE)), nets.fire("n4", "c4", (2, 2, 2)),
        Delay("late", ("n3",), 1), nets.fire("n5", "late", (2, 3, 3), 1),
        Output("out", ("n4",)), Output("other", ("n5",)),
    ))  # fmt: skip


def machine(**limits: int) -> Target:
    """One row of cores that store weights of 8 bits, as rows or kernels, one unit each."""
    data = load("toy-mesh").model_dump(by_alias=True)
    limit = {"neurons": 10_000, "words": 100_000, "cores": 16, **limits}
    data["topology"] |= {
        "grid": (limit["cores"], 1), "usable_cores": limit["cores"], "cores_per_router": 1,
        "max_chips": {"v": 1, "ev": "assumed"},
    }  # fmt: skip

    def wall(name: str, use: str) -> dict[str, Any]:
        return {"capacity": {"v": limit[name], "ev": "assumed"}, "use": use}

    data["core"] |= {
        "resources": {
            "neurons": wall("neurons", "n_neurons"),
            "words": wall("words", "n_row_synapses + n_kernel_weights"),
        },
        "encodings": ("dense", "kernel"),
    }
    return Target.model_validate(data)


def paid_per_axon() -> Target:
    """Rows of 16 bits and 10 per synapse; kernels of 7 bits and their weights, axons of 5."""
    data = load("toy-mesh").model_dump(by_alias=True)
    memory = data["core"]["resources"]["synapse_mem"]
    memory["use_per_axon"] = {"sparse": "16 + f * 10", "kernel": "5 + delay_bits"}
    memory["use_per_kernel"] = "7 + taps * weight_bits"
    data["core"]["encodings"] = ("sparse", "kernel")
    return Target.model_validate(data)


def metered(network: IntegerNetwork, target: Target) -> tuple[Meter, list[tuple[Any, ...]]]:
    """The meter, and all synapses as (sender, population, delay, source, neuron)."""
    parts = expand_large(network, kernels=True)
    retiming = retime(network, target, STEPS, expansion=parts)
    space = SourceSpace.of(network)
    late = retiming.extra_delay
    synapses = [
        (p.source, p.population, late[p.source, p.population, p.delay], row, int(p.target[k]))
        for p in expand(network).projections
        for row in range(p.row_ptr.size - 1)
        for k in range(p.row_ptr[row], p.row_ptr[row + 1])
    ]
    return Meter(wire(parts, space, late, None), Limits.of(target)), synapses


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


@pytest.mark.parametrize("block", range(2))
def test_random_convolutions_on_random_machines_are_exact_or_refused(block: int) -> None:
    ends = {check_case(seed, 3, kernels=True) for seed in range(6 * block, 6 * block + 6)}
    assert "mapped, checked, exact, with kernels" in ends


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_hundreds_of_random_convolutions_are_exact_or_refused(block: int) -> None:
    for seed in range(20_000 + 60 * block, 20_000 + 60 * block + 60):
        check_case(seed, kernels=True)


def spikes_for(network: IntegerNetwork) -> dict[str, IntArray]:
    shape = (2, 4, *network.shapes["in"])
    return {"in": np.random.default_rng(1).integers(0, 2, shape)}


def expected_of(network: IntegerNetwork) -> Any:
    return reference.run(network, spikes_for(network))


def test_the_checker_finds_the_convolutions_that_the_mapper_uses() -> None:
    found = 0
    for seed in range(40):
        network, known = random_convolutions(np.random.default_rng(seed)), {}
        for p in expand_shared(network).projections:
            begin = network.node[p.population].inputs[0]
            way = ways(network, begin, known)[p.source, p.delay]
            if p.kernels is not None:
                assert way is not None
                ours = p.kernels.pixels, p.kernels.outputs, p.kernels.taps
                assert ours == (way.inputs, way.outputs, way.taps)
                found += 1
    assert found > 50


def test_a_strided_shortcut_with_empty_channels_is_stored_as_kernels() -> None:
    rng = np.random.default_rng(0)
    index = np.arange(2 * 64).reshape(2, 8, 8)[:, ::2, ::2]
    index = np.concatenate([index, np.full_like(index, -1)])
    network = IntegerNetwork("shortcut", (
        Input("in", (2, 8, 8), BIN),
        Linear("c", ("in",), Conv(rng.integers(1, 9, (4, 2, 3, 3)), (2, 2), ONE, (1, 1))),
        Index("half", ("in",), index.shape, index), Add("a", ("c", "half")),
        Linear("d", ("a",), Conv(rng.integers(1, 9, (3, 4, 1, 1)), (1, 1), NONE, (1, 1))),
        nets.fire("n", "d", (3, 4, 4)), Output("out", ("n",)),
    ))  # fmt: skip
    (projection,) = expand_shared(network).projections
    assert projection.kernels is not None
    assert projection.kernels.taps == 9
    (plain,) = expand(network).projections
    for mine, theirs in zip(projection.rows.plain(), (plain.row_ptr, plain.target, plain.weight),
                            strict=True):  # fmt: skip
        np.testing.assert_array_equal(mine, theirs)
    meter, _ = metered(network, machine())
    counts = counts_of_cores(meter, np.zeros(48, np.int64), 1)
    assert counts["n_kernel_weights"].tolist() == [2 * 3 * 9]


@pytest.fixture(scope="module")
def compiled() -> Deployment:
    """Convolutions and a dense layer on ``loihi2-conv``."""
    network = random_convolutions(np.random.default_rng(29), shift=6)
    assert {"p0", "c1", "last"} <= set(network.node)
    options = CompileOptions(target="loihi2-conv", timesteps=4, effort="low")
    result = Compilation(network, options).run()
    assert isinstance(result, Deployment)
    return result


def test_every_spike_stays(compiled: Deployment) -> None:
    network = compiled.network
    assert examine(compiled).ok
    assert counted_kernels(compiled) > 0
    expected, found = expected_of(network), cycle.run(compiled, spikes_for(network)).result
    assert sum(expected.mismatches(found).values()) == 0
    assert all(v.any() for v in expected.outputs.values())


def encoded(deployment: Deployment, encoding: IntArray) -> Deployment:
    return replace(deployment, cores=replace(deployment.cores, axon_encoding=encoding))


def test_the_checker_refuses_a_dense_layer_stored_as_kernels(compiled: Deployment) -> None:
    kernel = compiled.target.core.encodings.index("kernel")
    assert (compiled.cores.axon_encoding != kernel).any()
    report = examine(encoded(compiled, np.full_like(compiled.cores.axon_encoding, kernel)))
    assert set(report.broken) == {"kernels"}


def test_the_checker_counts_rows_where_the_tables_say_rows() -> None:
    network = several(0, pruned=False)
    target = machine(words=600, neurons=200)
    retiming = retime(network, target, STEPS)
    mapping = map_network(network, retiming, target, 1, None, MapOptions(effort="low"))
    mine = Deployment(
        network, target, 1, retiming.schedule, mapping.cores, mapping.routes, mapping.certificate,
        {}, mapping.report,
    )  # fmt: skip
    assert examine(mine).ok
    tampered = examine(encoded(mine, np.zeros_like(mine.cores.axon_encoding)))
    assert set(tampered.broken) == {"capacity"}
    assert "words" in str(tampered.violations[0])


def test_an_artifact_keeps_how_rows_are_stored(compiled: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "kernels.snnc"
    artifact.write(compiled, path)
    back = artifact.read(path)
    np.testing.assert_array_equal(back.cores.axon_encoding, compiled.cores.axon_encoding)
    assert back.target == compiled.target
    assert examine(back).as_dict() == examine(compiled).as_dict()


def test_a_network_without_convolutions_is_mapped_as_on_the_plain_target() -> None:
    network = nets.with_input_shift(nets.mlp((9, 6, 4)), 6)
    cores = []
    for name in ("loihi2", "loihi2-conv"):
        target = load(name)
        retiming = retime(network, target, STEPS)
        report = map_network(network, retiming, target, 1, None, MapOptions(effort="low")).report
        cores.append(report["cores"][0]["use"])
    assert cores[0] == cores[1]


def test_an_operator_without_weights_has_no_axons_and_no_delay() -> None:
    """Its delay was taken for the number of another family of axons."""
    rng = np.random.default_rng(0)
    network = IntegerNetwork(
        "empty-branch",
        (
            Input("in", (2, 5, 5), BIN),
            Linear("c1", ("in",), nets.conv(rng, 2, 2, 3)),
            Delay("late", ("in",), 3),
            Linear("c2", ("late",), Conv(np.zeros((2, 2, 3, 3), np.int64), (1, 1), ONE, (1, 1))),
            Add("sum", ("c1", "c2")),
            nets.fire("n1", "sum", (2, 5, 5), 40),
            Output("out", ("n1",)),
        ),
    )
    target = machine(neurons=8)
    retiming = retime(network, target, 4)
    parts = expand_shared(network)
    assert {p.delay: p.synapses > 0 for p in parts.projections} == {0: True, 3: False}
    mapping = map_network(network, retiming, target, 1, None, MapOptions(effort="low"), parts)
    done = Deployment(
        network, target, 1, retiming.schedule, mapping.cores, mapping.routes, mapping.certificate,
        {}, mapping.report,
    )  # fmt: skip
    assert examine(done).ok
    inputs = spikes_for(network)
    assert not any(
        reference.run(network, inputs).mismatches(cycle.run(done, inputs).result).values()
    )


def test_a_large_kernel_is_stored_once_for_all_pixels() -> None:
    """28 x 28 pixels, 16 to 16 channels: 2,304 weights instead of 1.6 million synapses."""
    rng = np.random.default_rng(0)
    shape = (16, 28, 28)
    conv = Conv(rng.integers(1, 9, (16, 16, 3, 3)), (1, 1), ONE, (1, 1))
    network = IntegerNetwork("large", (
        Input("in", shape, BIN), Linear("c", ("in",), conv),
        nets.fire("n", "c", shape), Output("out", ("n",)),
    ))  # fmt: skip
    parts = expand_large(network, kernels=True)
    assert isinstance(parts, SharedExpansion)
    target = machine(neurons=8192, words=16 * 16 * 9)
    retiming = retime(network, target, STEPS, expansion=parts)
    mapping = map_network(network, retiming, target, 1, None, MapOptions(effort="low"), parts)
    report = mapping.report
    assert report["partition"]["cores"] == report["partition"]["cores_lower_bound"] == 2
    blocks = report["partition"]["populations"][0]["blocks"]
    words = [core["use"]["words"][0] for core in report["cores"]]
    assert sum(words) == (2304 if blocks[0] == 2 else 4608)


def changed(**changes: Any) -> Target:
    data = paid_per_axon().model_dump(by_alias=True)
    memory = data["core"]["resources"]["synapse_mem"]
    for key, value in changes.items():
        place = memory if key.startswith("use") else data["core"]
        place[key] = value
    return Target.model_validate(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_per_kernel": None}, "use_per_kernel: needed beside use_per_axon"),
        ({"use_per_axon": {"sparse": "f"}}, "no formula for kernel"),
        ({"encodings": ("sparse",)}, "use_per_kernel: needed beside use_per_axon"),
        ({"encodings": ("kernel",)}, "at least one of rows"),
    ],
)
def test_incomplete_descriptions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        changed(**changes)


def test_the_self_check_looks_at_formulas_of_kernels() -> None:
    assert check_target(paid_per_axon()) == []
    for text, where in product(["9 - taps", "0 - 1"], ["use_per_kernel"]):
        findings = check_target(changed(**{where: text}))
        assert any("use_per_kernel: negative or falling" in finding for finding in findings)
