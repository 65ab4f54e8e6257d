"""Whole mappings: legal by two independent checkers, and the emulated chip equals the reference."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support import nets
from support.mapping_check import check_delivery, check_synapses, deployment

from snnc.backends.targets import load
from snnc.compiler.map import MapOptions, Mapping, map_network
from snnc.compiler.retime import retime
from snnc.compiler.verify import verify
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input
from snnc.simulators import cycle, reference

NETWORKS = {
    "conv": nets.small_conv,
    "dense": lambda seed=0: nets.mlp(seed=seed),
    "residual": nets.residual,
    "recurrent": nets.recurrent,
    "multi-input": nets.multi_input,
}


def mapped(
    network: IntegerNetwork, target: str = "loihi1", seed: int = 0, chips: int = 1
) -> tuple[Mapping, nets.HandRetiming]:
    retiming = nets.longest_path_retiming(expand(network))
    options = MapOptions(seed=seed, effort="low")
    return map_network(network, retiming, load(target), chips, None, options), retiming


def random_input(network: IntegerNetwork, seed: int) -> dict[str, IntArray]:
    rng = np.random.default_rng(seed)
    return {
        node.name: (rng.random((2, 8, *node.shape)) < 0.3).astype(np.int64)
        for node in network.of_type(Input)
    }


@pytest.mark.parametrize("target", ["loihi1", "loihi2", "toy-mesh"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_every_topology_maps_to_a_legal_deployment(kind: str, target: str) -> None:
    network = NETWORKS[kind]()
    if target == "loihi2":  # its neurons shift every input by 6
        network = nets.with_input_shift(network, 6)
    mapping, retiming = mapped(network, target)
    assert check_synapses(network, retiming, mapping) > 0
    check_delivery(network, mapping)
    verify(deployment(network, retiming, load(target), 1, mapping))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_emulated_chip_fires_the_spikes_of_the_reference(kind: str, seed: int) -> None:
    network = NETWORKS[kind](seed)
    mapping, retiming = mapped(network, "toy-mesh", seed)
    assert mapping.cores.count > 1
    data = random_input(network, seed)
    emulated = cycle.run(deployment(network, retiming, load("toy-mesh"), 1, mapping), data)
    expected = reference.run(network, data)
    assert sum(int(c.sum()) for c in expected.spike_counts.values()) > 0
    assert not any(emulated.result.mismatches(expected).values())


@pytest.mark.parametrize("kind", ["residual", "recurrent", "loop"])
def test_the_solved_schedule_runs_exactly_too(kind: str) -> None:
    network = nets.two_population_loop() if kind == "loop" else NETWORKS[kind](7)
    target = load("toy-mesh")
    retiming = retime(network, target, 8)
    mapping = map_network(network, retiming, target, 1, None, MapOptions(effort="low"))
    data = random_input(network, 7)
    chip = Deployment(
        network, target, 1, retiming.schedule, mapping.cores, mapping.routes,
        mapping.certificate, {}, mapping.report,
    )  # fmt: skip
    verify(chip)
    assert not any(cycle.run(chip, data).result.mismatches(reference.run(network, data)).values())
    assert kind != "loop" or retiming.schedule.period == 2


def test_two_chips_form_one_mesh() -> None:
    network = nets.mlp((20, 500, 500, 10))
    mapping, retiming = mapped(network, "toy-mesh", chips=4)
    assert mapping.report["chips_used"] > 1
    assert mapping.report["traffic"]["chip_crossings"] > 0
    verify(deployment(network, retiming, load("toy-mesh"), 4, mapping))


@pytest.mark.slow
def test_the_nmnist_network_fits_one_loihi_chip() -> None:
    network = nets.cnn_sinabs()
    mapping, retiming = mapped(network)
    verify(deployment(network, retiming, load("loihi1"), 1, mapping))


def test_equal_seeds_give_equal_bytes() -> None:
    first, second = (mapped(nets.residual(), "toy-mesh", seed=5)[0] for _ in range(2))
    for part in ("cores", "routes", "certificate"):
        a, b = getattr(first, part), getattr(second, part)
        for name in a.__dataclass_fields__:
            assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_the_report_is_json_and_says_what_it_found() -> None:
    report = mapped(nets.residual(), "toy-mesh")[0].report
    assert json.loads(json.dumps(report)) == report
    assert report["cores_used"] == len(report["cores"])
    assert report["placement"]["lower_bound"] <= report["placement"]["objective"]
    assert report["placement"]["objective"] == report["traffic"]["weighted_hops"]
    assert report["traffic"]["weighted_hops"] <= report["traffic"]["unicast_equivalent_hops"]
    for core in report["cores"]:
        assert all(used <= available for used, available in core["use"].values())


def test_unknown_accounting_is_listed_as_unchecked() -> None:
    report = mapped(nets.mlp(), "loihi2")[0].report
    assert "flexible_mem" in report["unchecked"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"effort": "heroic"}, "low, normal, high"),
        ({"time_limit_s": 0.0}, "must be positive"),
        ({"seed": -1}, "not a seed"),
        ({"seed": 2**31}, "not a seed"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        MapOptions(**options)  # type: ignore[arg-type]
