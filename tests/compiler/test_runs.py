"""Clusters of unequal size: no run could be longer, and no cut into runs needs fewer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from snnc.backends.targets import load
from snnc.compiler.partition.limits import Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.runs import Costs, Walk, runs, unequal
from snnc.compiler.partition.share import shared_cores
from snnc.compiler.partition.tiling import measure
from snnc.compiler.partition.wiring import wire
from snnc.compiler.retime import retime
from snnc.compiler.wire import wire_codes
from snnc.ir.arrays import RealArray, Shape
from snnc.ir.deployment import SourceSpace
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.shared_expansion import AnyExpansion, expand_shared
from snnc.ir.types import BIN
from snnc.ir.weights import Conv


def layer(shape: Shape, out: int, seed: int = 0) -> IntegerNetwork:
    """One convolution of 3 x 3 with a padded border."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 100, (out, shape[0], 3, 3))
    conv = Conv(values, (1, 1), ((1, 1), (1, 1)), (1, 1))
    return IntegerNetwork("layer", (
        Input("in", shape, BIN),
        Linear("c", ("in",), conv),
        Neuron("n", ("c",), (out, *shape[1:]), np.array([641]), Reset("value"), input_shift=6),
        Output("out", ("n",)),
    ))  # fmt: skip


def meter_of(network: IntegerNetwork, name: str, parts: AnyExpansion) -> Meter:
    target = load(name)
    timing = retime(network, target, 4, expansion=parts, codes=wire_codes(network, target))
    wiring = wire(parts, SourceSpace.of(network), timing.extra_delay, None)
    return Meter(wiring, Limits.of(target))


def fewest(cost: RealArray, tiles: list[int]) -> int:
    """Runs that every cut of this order needs: the shortest way over all that fit."""
    need = [0] + [10**9] * cost.size
    for end in range(1, cost.size + 1):
        tile = max(t for t in tiles if t < end)
        for begin in range(tile, end):
            if cost[begin:end].sum() <= 1 + 1e-12:
                need[end] = min(need[end], need[begin] + 1)
    return need[-1]


@pytest.mark.parametrize("seed", range(20))
def test_no_cut_of_an_order_needs_fewer_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, rng.integers(1, 4)))
    size = int(np.prod(shape))
    cost = rng.integers(1, 40, size) / 64
    walk = Walk(
        int(rng.integers(1, shape[0] + 1)), tuple(int(rng.integers(1, n + 1)) for n in shape[1:])
    )
    order, tiles = walk.order(shape)
    assert sorted(order) == list(range(size))
    cut = runs(walk, shape, Costs(cost[None]))
    assert (np.bincount(cut.label, weights=cost) <= 1 + 1e-9).all()
    assert cut.begin.size == fewest(cost[order], tiles[:-1].tolist())
    np.testing.assert_allclose(cut.fill[0], np.bincount(cut.label, weights=cost))


def test_a_tile_is_a_rectangle_of_positions() -> None:
    shape = (3, 4, 6)
    order, tiles = Walk(2, (2, 3)).order(shape)
    channel, y, x = np.unravel_index(order, shape)
    for first, end in itertools.pairwise(tiles):
        for place, extent in ((channel, 2), (y, 2), (x, 3)):
            inside = place[first:end]
            assert inside.max() - inside.min() < extent
    assert np.unique(channel[:2]).size == 2  # the channels of a block run fastest


@pytest.mark.parametrize("name", ["loihi1", "loihi2", "toy-mesh"])
def test_runs_fit_and_are_measured_alike_shared_or_written_out(name: str) -> None:
    network = layer((16, 14, 14), 32)
    plain = meter_of(network, name, expand(network))
    shared = meter_of(network, name, expand_shared(network))
    found = unequal(plain, 0, 6)
    assert found
    for tiling in found:
        assert plain.limits.fits(tiling.counts).all()
        assert np.unique(tiling.label).size == tiling.clusters
        again = measure(shared, 0, tiling.blocks, tiling.label, "runs")
        for count, values in tiling.counts.items():
            np.testing.assert_array_equal(again.counts[count], values, count)
        assert again.cores == tiling.cores


def test_unequal_runs_need_fewer_cores_than_equal_blocks() -> None:
    """Borders have fewer synapses: 32 x 15 x 15 neurons of 576 inputs, 227 of which fit a core."""
    network = layer((64, 15, 15), 32)
    meter = meter_of(network, "loihi2", expand(network))
    best = min(unequal(meter, 0, 28), key=lambda t: t.cores)
    assert best.cores < 30
    use = meter.limits.usage(best.counts)["synapse_mem"]
    assert np.median(use) > 0.98 * 131072


@pytest.mark.parametrize("seed", range(10))
def test_estimate_is_no_less_than_the_best_packing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fill = rng.integers(1, 65, (2, 6)) / 64
    least = next(
        bins
        for bins in range(1, 7)
        if any(
            all((fill[:, np.array(of) == b].sum(axis=1) <= 1).all() for b in range(bins))
            for of in itertools.product(range(bins), repeat=6)
        )
    )
    estimate = shared_cores(fill)
    assert least - 1 < estimate <= 6
    assert estimate >= fill.sum(axis=1).max() - 1e-9


def test_estimate_counts_the_last_core_as_far_as_it_is_full() -> None:
    assert shared_cores(np.array([[0.9, 0.9, 0.25]])) == pytest.approx(2.25)
    assert shared_cores(np.array([[0.75, 0.5, 0.25]])) == pytest.approx(1.5)
    assert shared_cores(np.array([[0.5], [0.75]])) == pytest.approx(0.75)
