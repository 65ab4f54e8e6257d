"""Which clusters share a core: nets, gains, limits and slots against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from support import nets as small
from support.tight_mapping import random_tight_network, random_tight_target

from snnc.backends.targets import load
from snnc.compiler.assemble import assemble
from snnc.compiler.encode import encode
from snnc.compiler.partition import Partition, _neuron_core, _rank, _renumber
from snnc.compiler.partition.affinity import ABSENT
from snnc.compiler.partition.clusters import Clusters
from snnc.compiler.partition.layout import layout
from snnc.compiler.partition.limits import Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.nets import Nets, nets_of_clusters
from snnc.compiler.partition.pack import pack
from snnc.compiler.partition.regroup import Regrouping
from snnc.compiler.partition.tiling import Tiling, block_label, measure
from snnc.compiler.partition.wiring import wire
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import SourceSpace
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.shared_expansion import expand_shared
from snnc.ir.target import Target
from snnc.ir.types import BIN
from snnc.ir.weights import Conv


def convolutions(layers: int, channels: int = 4, side: int = 8) -> IntegerNetwork:
    """3 x 3, one after the other."""
    rng = np.random.default_rng(0)
    nodes: list[Input | Linear | Neuron | Output] = [Input("in", (channels, side, side), BIN)]
    before = "in"
    for k in range(layers):
        values = rng.integers(1, 100, (channels, channels, 3, 3))
        conv = Conv(values, (1, 1), ((1, 1), (1, 1)), (1, 1))
        nodes.append(Linear(f"c{k}", (before,), conv))
        shape = (channels, side, side)
        before = f"n{k}"
        nodes.append(
            Neuron(before, (f"c{k}",), shape, np.array([641]), Reset("value"), input_shift=6)
        )
    return IntegerNetwork("chain", (*nodes, Output("out", (before,))))


def meter_of(
    network: IntegerNetwork, target: Target, *, shared: bool = False, seed: int | None = None
) -> Meter:
    parts = expand_shared(network) if shared else expand(network)
    rates = None
    if seed is not None:
        rng = np.random.default_rng(seed)
        rates = {n.name: rng.random(n.size) for n in parts.populations}
    timing = small.longest_path_retiming(expand(network))
    wiring = wire(parts, SourceSpace.of(network), timing.extra_delay, rates)
    return Meter(wiring, Limits.of(target))


def cut(meter: Meter, blocks: tuple[int, ...]) -> list[Tiling]:
    """All populations in equal blocks, as far as their shapes allow."""
    tilings = []
    for k, node in enumerate(meter.wiring.populations):
        shape = node.shape or (1,)
        each = tuple(min(b, n) for b, n in zip((*blocks, 1, 1, 1), shape, strict=False))
        tilings.append(measure(meter, k, each, block_label(shape, each)))
    return tilings


def random_case(seed: int) -> Clusters:
    """Blocks of a random network, with random rates, on a roomy random machine."""
    rng = np.random.default_rng(seed)
    meter = meter_of(random_tight_network(rng), random_tight_target(rng, 1.0), seed=seed)
    return Clusters.of(meter, cut(meter, tuple(int(n) for n in rng.integers(1, 6, 3))))


def hops(clusters: Clusters, core: IntArray, x: RealArray, y: RealArray, parcel: float) -> float:
    """Every source's packets to every core but its own, one by one; the host is the last place."""
    wiring = clusters.meter.wiring
    neuron_core = np.concatenate(
        [core[first + t.label] for t, first in zip(clusters.tilings, clusters.first, strict=True)]
    )
    total = 0.0
    for source in range(wiring.sources.total):
        inner = source >= wiring.first_neuron
        here = neuron_core[source - wiring.first_neuron] if inner else x.size - 1
        reached = set()
        for fanin, first in zip(wiring.fanin, clusters.meter.first, strict=False):
            for axon in np.flatnonzero(fanin.source == source):
                row = fanin.target[fanin.row_ptr[axon] : fanin.row_ptr[axon + 1]]  # type: ignore[union-attr]
                reached |= set(neuron_core[first + row].tolist())
        for there in reached - {here}:
            way = parcel + abs(x[here] - x[there]) + abs(y[here] - y[there])
            total += wiring.rate[source] * way
    return total


def hops_of_nets(nets: Nets, core: IntArray, x: RealArray, y: RealArray, parcel: float) -> float:
    total = 0.0
    for n, home in enumerate(nets.home):
        here = core[home] if home >= 0 else x.size - 1
        for there in set(core[nets.dest[nets.ptr[n] : nets.ptr[n + 1]]].tolist()) - {here}:
            way = parcel + abs(x[here] - x[there]) + abs(y[here] - y[there])
            total += nets.weight[n] * way
    return total


@pytest.mark.parametrize("seed", range(8))
def test_nets_stand_for_the_packets_of_all_sources(seed: int) -> None:
    clusters = random_case(seed)
    nets = nets_of_clusters(clusters.meter.wiring, clusters.tilings)
    rng = np.random.default_rng(seed)
    core = rng.integers(0, 4, clusters.size)
    x, y = rng.random(5), rng.random(5)
    assert hops_of_nets(nets, core, x, y, 0.5) == pytest.approx(hops(clusters, core, x, y, 0.5))


def test_shared_rows_have_the_nets_of_written_out_ones() -> None:
    network, found = convolutions(2), []
    for shared in (False, True):
        meter = meter_of(network, load("toy-mesh"), shared=shared)
        nets = nets_of_clusters(meter.wiring, cut(meter, (2, 2, 3)))
        sets = [tuple(nets.dest[a:b]) for a, b in zip(nets.ptr, nets.ptr[1:], strict=False)]
        found.append(sorted(zip(nets.home.tolist(), sets, nets.weight.tolist(), strict=True)))
    assert found[0] == found[1]
    assert len(found[0]) < meter.wiring.sources.total / 2


@pytest.mark.parametrize("seed", range(12))
def test_a_step_saves_what_it_says(seed: int) -> None:
    clusters = random_case(seed)
    rng = np.random.default_rng(seed)
    cores = max(2, clusters.size // 2)
    core = np.unique(rng.integers(0, cores, clusters.size), return_inverse=True)[1].reshape(-1)
    search = Regrouping(clusters, core)
    cores = int(core.max()) + 1
    search.far(np.floor(4 * rng.random(cores)), np.floor(4 * rng.random(cores)), 0.25)
    before = hops(clusters, core, *search.places, 0.25)
    seen = 0
    for cluster in range(clusters.size):
        for there, back, saved in search.steps(cluster):
            after = core.copy()
            after[cluster] = there
            if back != ABSENT:
                after[back] = core[cluster]
            assert before - hops(clusters, after, *search.places, 0.25) == pytest.approx(saved)
            assert saved > 0
            seen += 1
    assert seen or clusters.size < 6


@pytest.mark.parametrize("name", ["loihi1", "toy-mesh"])
@pytest.mark.parametrize("seed", range(4))
def test_rows_priced_by_table_cost_what_the_meter_says(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    meter = meter_of(random_tight_network(rng), load(name))
    clusters = Clusters.of(meter, cut(meter, (3, 2, 2)))
    for size in (1, 2, 3):
        for members in list(combinations(range(clusters.size), size))[:40]:
            for mixed in (frozenset(), frozenset(clusters.population[list(members)].tolist())):
                mine = clusters.together(members, mixed)
                theirs = clusters.by_the_meter(members, mixed)
                assert {k: int(v[0]) for k, v in mine.items()} == {
                    k: int(v[0]) for k, v in theirs.items()
                }


@pytest.mark.parametrize("seed", range(10))
def test_regrouping_keeps_limits_and_cores_and_saves_packets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    meter = meter_of(random_tight_network(rng), random_tight_target(rng, 0.8), seed=seed)
    clusters = Clusters.of(meter, cut(meter, (3, 3, 3)))
    core = np.arange(clusters.size)  # everyone alone
    alone = [clusters.fit([k]) for k in range(clusters.size)]
    x, y = np.zeros(core.size + 1), np.zeros(core.size + 1)
    before = hops(clusters, core, x, y, 1.0)
    Regrouping(clusters, core).improve()
    for place in np.unique(core):
        members = np.flatnonzero(core == place)
        assert clusters.fit(members.tolist()) or (members.size == 1 and not alone[members[0]])
        assert np.unique(clusters.kind[members]).size == 1
    assert hops(clusters, core, x, y, 1.0) <= before + 1e-9


def test_tiles_that_hear_the_same_sources_share_cores() -> None:
    """Two channel halves of one tile: together they hear what each of them hears."""
    data = load("toy-mesh").model_dump(by_alias=True)
    data["core"]["resources"]["neurons"]["capacity"]["v"] = 32  # two clusters
    meter = meter_of(convolutions(1), Target.model_validate(data))
    clusters = Clusters.of(meter, cut(meter, (2, 4, 2)))
    core = np.random.default_rng(1).permutation(np.arange(8).repeat(2))
    Regrouping(clusters, core).improve()
    tile = np.arange(16) % 8
    assert np.unique(core).size == 8
    for place in np.unique(core):
        assert np.unique(tile[core == place]).size == 1


def test_halves_of_a_tile_take_the_memory_of_the_whole_one() -> None:
    """Slots of clusters that are mixed stand as in one cluster: rows stay dense."""
    meter = meter_of(convolutions(1), load("loihi1"))
    (halves,), (whole,) = cut(meter, (2, 2, 2)), cut(meter, (1, 2, 2))
    clusters = Clusters.of(meter, [halves])
    counts, mixed = clusters.measured([0, 4])
    assert mixed == {0}
    assert counts["synapse_mem"][0] <= whole.counts["synapse_mem"][0]
    assert counts["synapse_mem"][0] < clusters.together([0, 4])["synapse_mem"][0]


def test_finished_tables_take_what_was_measured() -> None:
    meter = meter_of(convolutions(3), load("loihi1"))
    tilings = cut(meter, (2, 2, 2))
    packing = pack(meter, tilings, 1, 0)
    assert np.unique(packing.mixed).size < packing.mixed.size, "no core mixes clusters"
    core = _renumber(_neuron_core(tilings, packing))
    division = Partition(core, _rank(tilings, packing), packing.cores, {})
    encoded = encode(assemble(meter.wiring, division), meter)
    clusters = Clusters.of(meter, tilings)
    wanted = []
    for place in range(packing.cores):
        counts, _ = clusters.measured(np.flatnonzero(packing.core == place).tolist())
        wanted.append(int(counts["synapse_mem"][0]))
    assert sorted(wanted) == sorted(encoded.usage["synapse_mem"][0].tolist())


def test_a_layout_puts_cores_on_sites_and_partners_close() -> None:
    """A ring of 16 cores fits a square of 4 x 4 with every way one hop."""
    ring = np.arange(16)
    shuffled = np.random.default_rng(2).permutation(16)
    nets = Nets(16, np.ones(16), shuffled[ring], np.arange(17), shuffled[(ring + 1) % 16])
    found, again = layout(nets, ring, 16, 1), layout(nets, ring, 16, 1)
    assert found is not None
    assert again is not None
    x, y = found
    assert sorted(zip(x, y, strict=True)) == [(a, b) for a in range(4) for b in range(4)]
    here, there = nets.home, nets.dest
    assert (abs(x[here] - x[there]) + abs(y[here] - y[there])).sum() <= 20
    np.testing.assert_array_equal(x, again[0])
    np.testing.assert_array_equal(y, again[1])
