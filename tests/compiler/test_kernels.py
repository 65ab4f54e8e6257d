"""Convolutions stored as kernels: the checker, tables, execution and descriptions of machines."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import nets
from support.conv_networks import random_convolutions
from support.kernels import NONE, ONE, STEPS, machine, metered, paid_per_axon, several
from support.tight_mapping import check_case, counted_kernels

from snnc.backends.targets import check_target, load
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.options import CompileOptions
from snnc.compiler.partition.kernels import counts_of_cores
from snnc.compiler.pipeline import Compilation
from snnc.compiler.retime import retime
from snnc.compiler.verify import examine
from snnc.compiler.verify.convolutions import ways
from snnc.ir import artifact
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output
from snnc.ir.shared_expansion import SharedExpansion, expand_large, expand_shared
from snnc.ir.target import Target
from snnc.ir.types import BIN
from snnc.ir.weights import Conv
from snnc.simulators import cycle, reference


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
