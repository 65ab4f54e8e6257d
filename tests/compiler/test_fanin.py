"""Neurons with more inputs than a core takes: split exactly, or refused with what would fit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import sparse
from support import nets
from support.mapping_check import deployment
from support.random_networks import random_inputs
from support.tight_mapping import random_tight_network, with_kernels

import snnc
from snnc.backends.targets import load
from snnc.compiler import fanin
from snnc.compiler.fanin import Split, may_overflow, split_fan_in, with_reason
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.retime import retime
from snnc.compiler.verify import verify
from snnc.compiler.wire import wire_codes
from snnc.ir.errors import CapacityError
from snnc.ir.expand import Expansion, expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output, Pool
from snnc.ir.shared_expansion import SharedExpansion, convolutions_of, expand_large, expand_shared
from snnc.ir.target import Target
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense, Sparse
from snnc.simulators import cycle, functional, reference

STEPS = 6


def machine(axons: int, name: str = "toy-mesh") -> Target:
    data = load(name).model_dump(by_alias=True)
    data["core"]["resources"]["input_axons"]["capacity"]["v"] = axons
    return Target.model_validate(data)


def split(network: IntegerNetwork, target: Target, *, shared: bool = False) -> Split:
    parts = expand_shared(network) if shared else expand(network)
    return split_fan_in(network, parts, target, STEPS)


def check_exact(
    network: IntegerNetwork, target: Target, seed: int = 0, chips: int = 4, *, shared: bool = False
) -> None:
    """Reference of the network = functional and cycle-level runs of the split one."""
    done = split(network, target, shared=shared)
    assert not done.refused
    assert len(done.network.populations) > len(network.populations)
    codes = wire_codes(done.network, target)
    retiming = retime(done.network, target, STEPS, expansion=done.expansion, codes=codes)
    options = MapOptions(effort="low", time_limit_s=600.0)
    mapping = map_network(done.network, retiming, target, chips, None, options, done.expansion)
    deployed = deployment(done.network, retiming, target, chips, mapping)
    verify(deployed)
    data = random_inputs(network, seed, 2, STEPS)
    expected = reference.run(network, data)
    assert sum(int(c.sum()) for c in expected.spike_counts.values()) > 0
    for result in (
        reference.run(done.network, data),
        functional.run(done.network, data),
        cycle.run(deployed, data).result,
    ):
        found = expected.mismatches(result)
        assert set(found) == {*expected.spikes, *(f"output {n}" for n in expected.outputs)}
        assert not any(found.values())


def uneven() -> IntegerNetwork:
    """Of eight neurons only two hear more than 30 inputs, one of them one step late as well."""
    rng = np.random.default_rng(3)
    values = rng.integers(-90, 128, (8, 70))
    values[:6, 25:] = 0
    late = np.zeros((8, 70), np.int64)
    late[7] = rng.integers(-90, 128, 70)
    return IntegerNetwork(
        "uneven",
        (
            Input("in", (70,), BIN),
            Linear("w", ("in",), Dense(values)),
            Delay("z", ("in",), 1),
            Linear("l", ("z",), Dense(late)),
            Add("sum", ("w", "l")),
            nets.fire("n", "sum", (8,)),
            Linear("v", ("n",), Dense(np.full((3, 8), 40))),
            nets.fire("m", "v", (3,)),
            Output("out", ("m",)),
        ),
    )


def uneven_pixels() -> IntegerNetwork:
    """Neurons that hear picked inputs, which no convolution is."""
    rng = np.random.default_rng(4)
    values = rng.integers(-90, 128, (8, 70)) * (rng.random((8, 70)) < 0.95)
    rows = sparse.csr_array(values)
    weights = Sparse(
        rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data.astype(np.int64),
        70, (8,),
    )  # fmt: skip
    nodes = {node.name: node for node in uneven().nodes}
    nodes["w"] = Linear("w", ("in",), weights)
    return IntegerNetwork("picked", tuple(nodes.values()))


def wide_conv() -> IntegerNetwork:
    """A convolution over 12 channels, whose windows hold 108 inputs."""
    rng = np.random.default_rng(1)
    return IntegerNetwork(
        "wide",
        (
            Input("in", (12, 4, 4), BIN),
            Linear("c", ("in",), nets.conv(rng, 2, 12, 3)),
            nets.fire("n", "c", (2, 4, 4)),
            Index("flat", ("n",), (32,)),
            Linear("d", ("flat",), nets.dense(rng, 4, 32)),
            nets.fire("m", "d", (4,)),
            Output("out", ("m",)),
        ),
    )


def loop() -> IntegerNetwork:
    """Fourteen neurons that hear six inputs and, one step late, each other."""
    rng = np.random.default_rng(0)
    return IntegerNetwork(
        "loop",
        (
            Input("in", (6,), BIN),
            Linear("w", ("in",), nets.dense(rng, 14, 6)),
            Delay("z", ("n",), 1),
            Linear("r", ("z",), nets.dense(rng, 14, 14)),
            Add("sum", ("w", "r")),
            nets.fire("n", "sum", (14,)),
            Output("out", ("n",)),
        ),
    )


NETWORKS = {
    "dense": lambda: nets.mlp((120, 6, 10)),
    "uneven": uneven,
    "conv": wide_conv,
    "recurrent": loop,
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_neurons_that_fit_no_core_fire_the_same_spikes(kind: str) -> None:
    check_exact(NETWORKS[kind](), machine(18 if kind == "recurrent" else 60))


def images() -> IntegerNetwork:
    """Grouped, strided, pooled and late convolutions that are added up, and a shortcut."""
    rng = np.random.default_rng(2)
    grouped = Conv(rng.integers(-99, 128, (6, 3, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1), 2)
    return IntegerNetwork(
        "images",
        (
            Input("in", (6, 4, 4), BIN),
            Linear("a", ("in",), grouped),
            Delay("z", ("in",), 1),
            Linear("b", ("z",), nets.conv(rng, 6, 6, 3)),
            Add("sum", ("a", "b", "in")),
            nets.fire("n", "sum", (6, 4, 4)),
            Pool("p", ("n",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0))),
            Linear("c", ("p",), nets.conv(rng, 4, 6, 3)),
            nets.fire("m", "c", (4, 2, 2)),
            Index("flat", ("m",), (16,)),
            Linear("d", ("flat",), nets.dense(rng, 5, 16)),
            nets.fire("o", "d", (5,)),
            Output("out", ("o",)),
        ),
    )


SHARED = {**NETWORKS, "images": images}
del SHARED["uneven"]  # its matrices are written as dense layers that are added up late


@pytest.mark.parametrize("kind", SHARED)
def test_shared_weights_stay_shared(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, target = SHARED[kind](), machine(18 if kind == "recurrent" else 60)
    plain = split(network, target)

    def written_out(_: IntegerNetwork) -> None:
        raise AssertionError("the network is written out")

    monkeypatch.setattr(fanin, "expand", written_out)
    check_exact(network, target, shared=True, chips=16)
    done = split(network, target, shared=True)
    kept = [p.name for p in network.populations]
    assert [p.name for p in done.network.populations if p.name in kept] == kept
    assert set(plain.network.assumptions) == set(done.network.assumptions)
    assert isinstance(done.expansion, SharedExpansion)
    for made, old in zip(done.expansion.projections, expand(done.network).projections, strict=True):
        assert (made.source, made.population, made.delay) == (old.source, old.population, old.delay)
        assert made.synapses == old.synapses
    if kind in ("conv", "images"):
        stored = sum(p.rows.offset.size for p in done.expansion.projections)
        assert stored < 0.6 * sum(p.synapses for p in done.expansion.projections)


def test_what_is_no_convolution_is_written_out() -> None:
    network = uneven_pixels()
    assert convolutions_of(network, "n") is None
    check_exact(network, machine(60), shared=True)
    assert isinstance(split(network, machine(60), shared=True).expansion, Expansion)


def test_kernels_stay_kernels() -> None:
    network, target = wide_conv(), with_kernels(0, machine(60))
    done = split_fan_in(network, expand_large(network, kernels=True), target, STEPS)
    assert isinstance(done.expansion, SharedExpansion)
    assert len(done.network.populations) > 2
    assert all(p.kernels for p in done.expansion.projections if p.population != "m")


def test_what_fits_stays_as_it_is() -> None:
    network = nets.mlp((120, 6, 10))
    assert not may_overflow(network, expand(network), machine(2048))
    done = split(network, machine(119 + 1))
    assert done.network is network
    assert may_overflow(network, expand(network), machine(120))


def test_only_neurons_that_do_not_fit_are_split() -> None:
    network = uneven()
    done = split(network, machine(60))
    told = done.network.assumptions["fan-in of n"]
    assert told.startswith("2 neuron(s) fit no core: their inputs are summed in 3 parts by")
    helpers = [p for p in done.network.populations if p.name.startswith("n.partial")]
    assert all(p.size == 2 for p in helpers)
    assert f"by {2 * len(helpers)} neurons of {len(helpers)} population(s)" in told
    later = int(re.search(r"(\d+) tick", told).group(1))  # type: ignore[union-attr]
    before, after = (
        retime(n, machine(60), STEPS, codes=wire_codes(n, machine(60))).schedule
        for n in (network, done.network)
    )
    assert after.offset["n"] - before.offset["n"] == later > 0


def test_a_machine_that_cannot_send_sums_refuses_with_the_reason_and_what_fits() -> None:
    network, target = nets.mlp((120, 6, 10)), machine(60, "loihi1")
    done = split(network, target)
    assert done.network is network
    assert "neurons forget 4095 at most" in done.refused["n0"]
    with pytest.raises(CapacityError, match="a single neuron does not fit a core") as caught:
        map_network(network, retime(network, target, STEPS), target)
    assert "cut the layer's fan-in to 60" in caught.value.remedy
    told = with_reason(caught.value, done.refused)
    assert "its inputs cannot be summed in parts: potentials up to" in told.remedy
    assert with_reason(caught.value, {}) is caught.value


def test_not_even_one_input_fits_is_said() -> None:
    network, target = nets.mlp((4, 3)), machine(0)
    with pytest.raises(CapacityError, match="not even one input fits"):
        map_network(network, retime(network, target, STEPS), target)


def test_the_pipeline_splits_and_reports(tmp_path: Path) -> None:
    target = machine(60)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(target.model_dump(mode="json", by_alias=True)))
    network = nets.mlp((120, 6, 10))
    done = snnc.compile(network, snnc.CompileOptions(target=str(path), timesteps=STEPS))
    assert done.deployment is not None
    assert "fan-in of n0" in done.deployment.report["assumptions"]
    data = random_inputs(network, 1, 2, STEPS)
    expected = reference.run(network, data)
    result = cycle.run(done.deployment, data).result
    np.testing.assert_array_equal(result.outputs["out"], expected.outputs["out"])


@pytest.mark.parametrize("seed", [1, 4, 16, 22])
def test_random_networks_split_exactly(seed: int) -> None:
    network = random_tight_network(np.random.default_rng(seed), 3)
    check_exact(network, machine(16), seed, chips=16)
