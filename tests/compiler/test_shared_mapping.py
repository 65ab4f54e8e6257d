"""A network mapped with shared rows is the network mapped with every row written out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.node_list import NodeList

from snnc.backends.targets import load
from snnc.compiler import axon_cuts as module
from snnc.compiler.assemble_shared import assemble_shared
from snnc.compiler.encode import sent_pairs
from snnc.compiler.legalize import legalize
from snnc.compiler.map import MapOptions, Mapping, map_network
from snnc.compiler.options import CompileOptions
from snnc.compiler.partition import partition
from snnc.compiler.partition.limits import Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.wiring import wire
from snnc.compiler.pipeline import Compilation
from snnc.compiler.reach import traffic_of
from snnc.compiler.retime import Retiming, retime
from snnc.compiler.traffic import Traffic, nets_of
from snnc.compiler.verify import examine
from snnc.compiler.wire import wire_codes
from snnc.ir.deployment import CoreTables, Deployment, SharedCoreTables, SourceSpace
from snnc.ir.errors import CompilerBugError
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Add, Index, Input, Linear, Output, Pool
from snnc.ir.shared_expansion import AnyExpansion, expand_shared
from snnc.ir.target import Target
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv, Dense
from snnc.simulators import cycle, reference

PADDED = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))
SHIFT = 6  # the one that every target offers
QUICK = MapOptions(effort="low", time_limit_s=600.0)  # never cut short by a busy machine


class Draw(NodeList):
    """A random network of convolutions, pools, skips and a dense layer."""

    def __init__(self, seed: int, target: Target) -> None:
        super().__init__(np.random.default_rng(seed))
        self.zeros = bool(self.rng.integers(2))
        self.reset = Reset("value") if "zero" in target.neuron.reset else Reset("subtract")
        self.target = target

    def weights(self, *shape: int) -> Any:
        values = self.rng.integers(1, 7, shape) * self.rng.choice([-1, 1], shape)
        return values * (self.rng.random(shape) < 0.8) if self.zeros else values

    def fire(self, x: str) -> str:
        shape = self.shapes[x]
        name = f"n{len(self.nodes)}"
        node = Neuron(name, (x,), shape, np.array([5 * 64 + 1]), self.reset, input_shift=SHIFT)
        return self.put(node, shape)

    def conv(self, x: str, out: int, kernel: int, stride: int, groups: int = 1) -> str:
        into, *extent = self.shapes[x]
        pad = kernel // 2
        values = self.weights(out, into // groups, kernel, kernel)
        conv = Conv(values, (stride, stride), ((pad, pad), (pad, pad)), (1, 1), groups)
        shape = (out, *((n + 2 * pad - kernel) // stride + 1 for n in extent))
        return self.put(Linear(f"c{len(self.nodes)}", (x,), conv), shape)

    def network(self) -> IntegerNetwork:
        rng = self.rng
        size = int(rng.integers(7, 13))
        x = self.put(Input("in", (2, size, size), BIN), (2, size, size))
        x = self.fire(self.conv(x, int(rng.integers(2, 5)), 3, 1))
        out = int(rng.choice([4, 6]))
        if rng.integers(2):
            c, h, w = self.shapes[x]
            pool = Pool(f"p{len(self.nodes)}", (x,), "sum", (2, 2), (2, 2), NONE)
            x = self.put(pool, (c, h // 2, w // 2))
        y = self.fire(self.conv(x, out, 3, int(rng.integers(1, 3))))
        z = self.fire(self.conv(y, out, 3, 1, int(rng.choice([1, 2, out]))))
        x = self.put(Add(f"a{len(self.nodes)}", (y, z)), self.shapes[y])
        x = self.fire(self.conv(x, 4, int(rng.choice([1, 3, 5])), 1))
        c, h, w = self.shapes[x]
        flat = self.put(Index("flat", (x,), (c * h * w,)), (c * h * w,))
        dense = self.put(Linear("dense", (flat,), Dense(self.weights(5, c * h * w))), (5,))
        last = self.fire(dense)
        return IntegerNetwork("random", (*self.nodes, Output("out", (last,))))


def mapped(
    network: IntegerNetwork, target: Target, parts: AnyExpansion, chips: int = 1
) -> tuple[Retiming, Mapping]:
    """Mapped on as many chips."""
    codes = wire_codes(network, target)
    timing = retime(network, target, 4, expansion=parts, codes=codes)
    return timing, map_network(network, timing, target, chips, None, QUICK, parts)


def assert_equal(shared: Mapping, plain: Mapping) -> None:
    """Every table and the whole report, but for the seconds."""
    assert isinstance(shared.cores, SharedCoreTables)
    assert isinstance(plain.cores, CoreTables)
    ours = shared.cores.plain()
    for name in CoreTables.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(ours, name), getattr(plain.cores, name), name)
    for name in ("net_core", "send_ptr", "send_net", "branch_router", "delivery_core"):
        np.testing.assert_array_equal(
            getattr(shared.routes, name), getattr(plain.routes, name), name
        )
    for report in (shared.report, plain.report):
        del report["seconds"]
    assert shared.report == plain.report


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["loihi1", "toy-mesh", "loihi2"])
def test_shared_tables_are_the_plain_ones(name: str, seed: int) -> None:
    target = load(name)
    network = legalize(Draw(seed, target).network(), target)
    timing, plain = mapped(network, target, expand(network), 2)
    again, shared = mapped(network, target, expand_shared(network), 2)
    assert again == timing
    assert_equal(shared, plain)


def signed_network() -> IntegerNetwork:
    """Counts of both signs, which loihi1 sends by pairs of axons, over two delays."""
    rng = np.random.default_rng(3)
    shape = (2, 6, 6)

    def conv(name: str, x: str) -> Linear:
        return Linear(name, (x,), Conv(rng.integers(-5, 6, (2, 2, 3, 3)), (1, 1), PADDED, (1, 1)))

    def fire(name: str, x: str) -> Neuron:
        return Neuron(name, (x,), shape, np.array([193]), Reset("value"), input_shift=SHIFT)

    return IntegerNetwork("signed", (
        Input("in", shape, ValueType("tern")),
        conv("c1", "in"), fire("n1", "c1"),
        conv("c2", "n1"), fire("n2", "c2"),
        conv("c3", "in"), conv("c4", "n2"), Add("sum", ("c3", "c4")), fire("n3", "sum"),
        Output("out", ("n3",)),
    ))  # fmt: skip


def test_pairs_of_axons_and_delays() -> None:
    target = load("loihi1")
    network = legalize(signed_network(), target)
    _, plain = mapped(network, target, expand(network))
    _, shared = mapped(network, target, expand_shared(network))
    assert np.unique(plain.cores.axon_sign).size == 3
    assert np.unique(plain.cores.axon_delay).size > 1
    assert_equal(shared, plain)


@pytest.mark.parametrize("seed", [0, 4])
@pytest.mark.parametrize("name", ["loihi1", "toy-mesh"])
def test_traffic_is_known_without_tables(name: str, seed: int) -> None:
    """From the partition alone: the nets that the finished tables give."""
    target = load(name)
    network = legalize(Draw(seed, target).network(), target)
    parts, codes = expand_shared(network), wire_codes(network, target)
    late = retime(network, target, 4, expansion=parts, codes=codes).extra_delay
    rng, sources = np.random.default_rng(seed), SourceSpace.of(network)
    rates = {name: rng.random(size) for name, size in sources.size.items()}
    wiring = wire(parts, sources, late, rates)
    division = partition(Meter(wiring, Limits.of(target)), 2)
    tables = assemble_shared(wiring, division)
    start, dest = sent_pairs(tables, sources.total)
    core_of = np.full(sources.total, -1, np.int64)
    core_of[tables.neuron_source] = np.repeat(np.arange(tables.count), np.diff(tables.neuron_ptr))
    for multicast in (False, True):
        expected = nets_of(start, dest, core_of, tables.count, wiring.rate, multicast)
        found = traffic_of(wiring, division, multicast)
        for field in Traffic.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), field)


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    target = load("toy-mesh")
    network = legalize(Draw(1, target).network(), target)
    _, plain = mapped(network, target, expand(network), 2)
    monkeypatch.setattr("snnc.compiler.assemble_shared.AT_ONCE", 50)
    monkeypatch.setattr("snnc.compiler.encode.PORTION", 70)
    monkeypatch.setattr("snnc.compiler.partition.tiling.PORTION", 60)
    _, shared = mapped(network, target, expand_shared(network), 2)
    assert_equal(shared, plain)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_the_pipeline_shares_rows_and_every_spike_stays(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    network = Draw(seed, load("toy-mesh")).network()
    options = CompileOptions(target="toy-mesh", chips=2, timesteps=4, effort="low")
    plain = Compilation(network, options).run()
    for caller in ("pipeline", "legalize.synapses"):
        monkeypatch.setattr(
            f"snnc.compiler.{caller}.expand_large", lambda network, **_: expand_shared(network)
        )
    shared = Compilation(network, options).run()
    assert isinstance(shared, Deployment)
    assert isinstance(plain, Deployment)
    assert isinstance(shared.cores, SharedCoreTables)
    assert examine(shared).as_dict() == examine(plain).as_dict()
    spikes = np.random.default_rng(seed).integers(0, 2, (2, 4, *network.shapes["in"]))
    expected = reference.run(network, {"in": spikes})
    for deployment in (shared, plain):
        found = cycle.run(deployment, {"in": spikes}).result
        assert sum(expected.mismatches(found).values()) == 0


def test_parts_of_rows_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal codes of different parts are an error, not a wrong network."""
    target = load("toy-mesh")
    network = legalize(Draw(1, target).network(), target)

    def same(code: Any, *_: Any) -> None:
        code[:] = 0

    monkeypatch.setattr(module, "_mix", same)
    with pytest.raises(CompilerBugError, match="different parts of rows"):
        mapped(network, target, expand_shared(network), 2)


@pytest.mark.slow
def test_a_large_network_is_compiled_without_writing_rows_out() -> None:
    """The benchmark's smallest size, which compares itself with every row written out."""
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "shared_weights.py"
    done = subprocess.run(
        [sys.executable, str(script), "--sizes", "small"], capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the same tables, routes and figures" in done.stdout
