"""Hypergraph partitions: the metric by hand, both engines, and the choice against tilings."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from support import irregular_networks as networks
from support import nets

from snnc.backends.targets import load
from snnc.compiler.hypergraph import Hypergraph, coarsen, connectivity, divide, km1, kway
from snnc.compiler.hypergraph.coarsen import contract
from snnc.compiler.hypergraph.multilevel import induced
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.options import CompileOptions
from snnc.ir.errors import CapacityError, MissingPackageError, OptionError
from snnc.ir.expand import expand
from snnc.ir.target import Target


def graph(*pins: tuple[int, ...], weights: tuple[int, ...] = (), vertices: int = 6) -> Hypergraph:
    ptr = np.concatenate([[0], np.cumsum([len(p) for p in pins])])
    flat = np.array([v for p in pins for v in p], np.int32)
    rate = np.array(weights or (1,) * len(pins), float)
    return Hypergraph(ptr, flat, rate, np.ones(vertices, np.int64))


def random_graph(seed: int, vertices: int = 40, count: int = 60) -> Hypergraph:
    rng = np.random.default_rng(seed)
    pins = [
        tuple(rng.choice(vertices, rng.integers(2, 7), replace=False).tolist())
        for _ in range(count)
    ]
    return graph(*pins, weights=tuple(rng.integers(1, 9, count).tolist()), vertices=vertices)


def test_km1_of_three_nets_by_hand() -> None:
    block = np.array([0, 0, 1, 1, 2, 2])
    g = graph((0, 1), (0, 2, 4), (3, 4, 5), weights=(5, 3, 2))
    assert connectivity(g, block).tolist() == [1, 3, 2]
    assert km1(g, block) == 0 * 5 + 2 * 3 + 1 * 2


def test_contraction_merges_equal_nets_and_drops_inner_ones() -> None:
    g = graph((0, 1), (0, 2), (1, 3), (0, 4, 5), weights=(7, 1, 2, 4))
    coarse = contract(g, np.array([0, 0, 1, 1, 2, 2]), 3)
    assert coarse.nets == 2  # (0, 2) and (1, 3) are both between clusters 0 and 1
    assert sorted(coarse.net_weight.tolist()) == [3, 4]
    assert coarse.vertex_weight.tolist() == [2, 2, 2]


def test_the_part_of_a_hypergraph_keeps_what_nets_have_there() -> None:
    part = induced(graph((0, 1, 2), (0, 5), (2, 1)), np.array([1, 2, 5]))
    assert part.nets == 2
    assert part.pin.tolist() == [0, 1, 1, 0]


def test_halves_of_small_hypergraphs_are_nearly_the_best_there_are() -> None:
    found, best = [], []
    for seed in range(20):
        g = random_graph(seed, vertices=10, count=14)
        best.append(
            min(
                km1(g, np.isin(np.arange(10), half).astype(np.int64))
                for half in itertools.combinations(range(10), 5)
            )
        )
        found.append(km1(g, divide(g, 2, 5, seed)))
    assert all(ours >= least for ours, least in zip(found, best, strict=True))
    assert sum(found) <= 1.01 * sum(best)


@pytest.mark.parametrize("blocks", [1, 2, 3, 7, 40])
def test_every_vertex_gets_a_block_within_the_capacity(blocks: int) -> None:
    g = random_graph(1)
    capacity = -(-40 // blocks)
    block = divide(g, blocks, capacity, 3)
    assert np.bincount(block, minlength=blocks).max() <= capacity
    assert block.min() >= 0
    assert block.max() < blocks


def test_vertices_of_different_weight_fill_blocks_to_the_brim() -> None:
    g = random_graph(2)
    weight = np.random.default_rng(0).integers(1, 20, 40)
    g = Hypergraph(g.net_ptr, g.pin, g.net_weight, weight)
    capacity = int(1.03 * weight.sum() / 5) + 1
    assert np.bincount(divide(g, 5, capacity, 0), weights=weight).max() <= capacity


def test_equal_seeds_give_equal_blocks() -> None:
    g = random_graph(5)
    np.testing.assert_array_equal(divide(g, 4, 11, 9), divide(g, 4, 11, 9))


def test_a_local_network_is_cut_where_few_synapses_cross() -> None:
    pairs = networks.local_pairs(np.random.default_rng(0), 24, 12, 1.5)
    g = networks.hypergraph(*pairs, 576)
    cut = km1(g, divide(g, 9, 68, 0))
    rows_of_the_torus = np.random.default_rng(0).permutation(576) // 64
    assert cut < 0.3 * km1(g, rows_of_the_torus)


def test_too_little_room_is_refused_with_the_blocks_that_would_do() -> None:
    with pytest.raises(CapacityError, match="the blocks are too small") as caught:
        divide(random_graph(0), 3, 13)
    assert caught.value.remedy == "4 blocks"
    heavy = Hypergraph(np.array([0]), np.zeros(0, np.int32), np.zeros(0), np.array([5, 1]))
    with pytest.raises(CapacityError, match="a vertex is heavier than a block"):
        divide(heavy, 4, 4)


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mtkahypar", None)
    with pytest.raises(MissingPackageError) as caught:
        divide(random_graph(0), 4, 11, 0, "mtkahypar")
    assert "pip install 'snnc[partition]'" in caught.value.remedy


def test_mtkahypar_takes_the_same_hypergraphs() -> None:
    pytest.importorskip("mtkahypar", reason="optional: pip install 'snnc[partition]'")
    g = random_graph(3)
    block = divide(g, 4, 11, 0, "mtkahypar")
    assert np.bincount(block, minlength=4).max() <= 11
    np.testing.assert_array_equal(block, divide(g, 4, 11, 0, "mtkahypar"))
    assert km1(g, block) <= 1.3 * km1(g, divide(g, 4, 11, 0))


def few_axons(axons: int) -> Target:
    data = load("toy-mesh").model_dump(by_alias=True)
    data["core"]["resources"]["input_axons"]["capacity"]["v"] = axons
    return Target.model_validate(data)


def mapped(partitioner: str, axons: int) -> dict[str, object]:
    rng = np.random.default_rng(0)
    network = networks.recurrent(*networks.local_pairs(rng, 16, 10, 1.2), 256, rng)
    retiming = nets.longest_path_retiming(expand(network))
    options = MapOptions(effort="low", partitioner=partitioner)  # type: ignore[arg-type]
    return map_network(network, retiming, few_axons(axons), 4, None, options).report


def test_a_sparse_loop_takes_fewer_axons_and_packets_as_a_hypergraph() -> None:
    runs, blocks = mapped("tiles", 2048), mapped("auto", 2048)
    assert runs["cores_used"] == blocks["cores_used"] == 4
    (row,) = blocks["partition"]["populations"]  # type: ignore[index]
    assert row["method"] == "own"
    assert blocks["traffic"]["deliveries"] < 0.75 * runs["traffic"]["deliveries"]  # type: ignore[index]


def test_scarce_axons_cost_fewer_cores_as_a_hypergraph() -> None:
    runs, blocks = mapped("tiles", 160), mapped("auto", 160)
    assert blocks["cores_used"] < runs["cores_used"]  # type: ignore[operator]
    for core in blocks["cores"]:  # type: ignore[attr-defined]
        assert core["use"]["input_axons"][0] <= 160


def test_dense_layers_stay_tiles_unless_asked_for() -> None:
    network = nets.mlp((20, 100, 90, 10))
    retiming = nets.longest_path_retiming(expand(network))
    for partitioner, methods in (("auto", {"tiles", "runs"}), ("own", {"tiles", "runs", "own"})):
        options = MapOptions(effort="low", partitioner=partitioner)  # type: ignore[arg-type]
        report = map_network(network, retiming, load("toy-mesh"), 1, None, options).report
        assert {p["method"] for p in report["partition"]["populations"]} <= methods


@pytest.mark.parametrize("record", [MapOptions, CompileOptions])
def test_an_unknown_partitioner_is_refused(record: type) -> None:
    with pytest.raises(OptionError, match="not one of the choices"):
        record(partitioner="metis")


def idle_nets() -> Hypergraph:
    """A random graph, and every vertex in 50 nets of weight 0."""
    plain = random_graph(5)
    idle = np.tile(np.arange(40, dtype=np.int32), 50)
    return Hypergraph(
        np.concatenate([plain.net_ptr, plain.net_ptr[-1] + 40 * np.arange(1, 51)]),
        np.concatenate([plain.pin, idle]), np.concatenate([plain.net_weight, np.zeros(50)]),
        plain.vertex_weight,
    )  # fmt: skip


def test_nets_without_traffic_overrun_no_list_of_blocks() -> None:
    """A vertex in many nets of weight 0: its list of neighbouring blocks has one place each."""
    many = idle_nets()
    block = (np.arange(40) % 4).astype(np.int64)
    load = np.bincount(block, many.vertex_weight, 4).astype(np.int64)
    blocks, pins = np.empty(many.pin.size, np.int32), np.empty(many.pin.size, np.int32)
    spread, room = np.zeros(many.nets, np.int64), np.full(40 * 50 * 4, -7)
    kway._register(many.net_ptr, many.pin, block, blocks, pins, spread)
    kway._sweep(
        many.net_ptr, many.net_weight, *many.by_vertex, many.vertex_weight, np.arange(40), block,
        load, 12, blocks, pins, spread, np.zeros(4), room[:4],
    )  # fmt: skip
    assert (room[4:] == -7).all()
    assert np.array_equal(load, np.bincount(block, many.vertex_weight, 4))


def test_nets_without_traffic_overrun_no_list_of_neighbours() -> None:
    """While coarsening, each vertex has one place for every neighbour it was rated with."""
    many = idle_nets()
    room = np.full(40 * 50, -7)
    leader = np.arange(40)
    coarsen._join(
        many.net_ptr, many.pin, many.net_weight, *many.by_vertex, np.arange(40),
        np.zeros(40, np.int64), 4, many.vertex_weight.copy(), leader, np.ones(40, np.int64),
        np.zeros(40), room[:40],
    )  # fmt: skip
    assert (room[40:] == -7).all()
    assert np.unique(leader).size < 40
