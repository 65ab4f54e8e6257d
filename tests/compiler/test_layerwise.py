"""Cores that hold one layer each: memory rules, exact assignment, the independent check."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chains import chain, changed, population, speck
from support.deployed import deployed
from support.paths import require_data

from snnc.backends import targets
from snnc.backends.targets import check_target
from snnc.backends.targets.expression import evaluate
from snnc.compiler.frontends import NirOptions, nir
from snnc.compiler.layerwise import _assign
from snnc.compiler.legalize import verdicts
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.compiler.verify import examine
from snnc.ir.arrays import size_of
from snnc.ir.errors import CapacityError, TargetError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.layers import layers_of
from snnc.ir.neuron import Leak
from snnc.ir.nodes import Delay, Index, Input, Linear, Output, Pool
from snnc.ir.target import Target
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense


def words(target: Target, **sizes: int) -> dict[str, int]:
    assert target.layers is not None
    given = {"in_h": 1, "in_w": 1, "k_h": 1, "k_w": 1, "out_h": 1, "out_w": 1} | sizes
    return {n: int(evaluate(r.use, given)) for n, r in target.layers.resources.items()}


def test_memory_rules_round_up_to_address_fields() -> None:
    """Cases of sinabs' code, see the errata of the target: 61 x 61 x 16 takes 65,536 words."""
    target = targets.load("speck2f")
    assert words(target, c_in=1, c_out=16, out_h=61, out_w=61)["neuron_mem"] == 65536
    assert words(target, c_in=1, c_out=16, out_h=64, out_w=64)["neuron_mem"] == 65536
    assert words(target, c_in=1, c_out=16, out_h=65, out_w=64)["neuron_mem"] == 131072
    # A dense layer of 784 inputs and 128 outputs, as a convolution of its whole 28 x 28 input.
    assert words(target, c_in=1, c_out=128, k_h=28, k_w=28)["kernel_mem"] == 131072
    assert words(target, c_in=16, c_out=16, k_h=3, k_w=3)["kernel_mem"] == 4096
    assert words(target, c_in=16, c_out=17, k_h=3, k_w=3)["kernel_mem"] == 8192


def test_the_cores_are_those_of_the_chip() -> None:
    layers = targets.load("speck2f").layers
    assert layers is not None
    kernel, neuron = (layers.resources[n].capacity for n in ("kernel_mem", "neuron_mem"))
    assert [k // 1024 for k in kernel] == [16, 16, 16, 32, 32, 64, 64, 16, 16]
    assert [n // 1024 for n in neuron] == [64, 64, 64, 32, 32, 16, 16, 16, 16]
    assert sum(neuron) == 327_680  # Richter et al.: 327.6 K neurons, 272 KB of kernels
    assert sum(kernel) == 272 * 1024


def test_the_published_network_takes_what_the_vendor_tool_says() -> None:
    """Kernel words of sinabs' own mapper: 1024, 4096, 2048, 32768, 4096."""
    target = targets.load("speck2f")
    network = nir.read(require_data("nir", "cnn_sinabs.nir"), NirOptions("nir"))
    options = QuantizeOptions(8, 1, granularity="layer")
    quantized = quantize(network, target, options)
    found = [words(target, **layer.sizes)["kernel_mem"] for layer in layers_of(quantized.network)]
    assert found == [1024, 4096, 2048, 32768, 4096]


def test_layers_are_read_through_pools_and_reshapes() -> None:
    first, second, last = layers_of(chain(np.random.default_rng(0)))
    assert not any(layer.problems for layer in (first, second, last))
    assert (first.in_shape, first.kernel, first.out_shape) == ((2, 8, 8), (3, 3), (3, 8, 8))
    assert (second.in_shape, second.stride, second.pools) == ((3, 4, 4), (2, 2), (2,))
    assert (last.in_shape, last.kernel, last.out_shape) == ((5, 2, 2), (2, 2), (4, 1, 1))
    assert (last.sources, last.sizes["k_h"]) == (("b",), 2)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), layers=st.integers(1, 5), slots=st.integers(1, 6))
def test_assignment_is_possible_exactly_where_brute_force_finds_one(
    data: st.DataObject, layers: int, slots: int
) -> None:
    rows = st.lists(st.booleans(), min_size=slots, max_size=slots)
    fits = np.array(data.draw(st.lists(rows, min_size=layers, max_size=layers)))
    costs = st.lists(st.integers(1, 9), min_size=slots, max_size=slots)
    load = np.array(data.draw(st.lists(costs, min_size=layers, max_size=layers)), np.float64)
    found = _assign(fits, load, 0)
    legal = [p for p in permutations(range(slots), layers)
             if all(fits[i, k] for i, k in enumerate(p))]  # fmt: skip
    if not legal:
        assert found is None
        return
    assert found is not None
    assert tuple(found.tolist()) in legal
    best = min(max(load[i, k] for i, k in enumerate(p)) for p in legal)
    assert max(load[i, k] for i, k in enumerate(found)) <= best * (1 + 1e-5)


def test_a_layer_that_needs_memory_gets_a_core_that_has_it() -> None:
    """49 x 49 x 8 neurons take 32,768 words: cores 0 to 4 only."""
    network = single(Conv(np.ones((8, 1, 1, 1), np.int64), (1, 1), ((0, 0), (0, 0)), (1, 1)),
                     (1, 49, 49), (8, 49, 49))  # fmt: skip
    result = deployed(network, targets.load("speck2f"), 2)
    assert result.cores.location[0, 2] == 0  # of those that fit, the fastest
    usable = replace_layers(targets.load("speck2f"), synops_per_s=[1e6] * 3 + [5e6] + [9e9] * 5)
    assert deployed(network, usable, 2).cores.location[0, 2] == 4


def test_what_fits_nowhere_is_told_by_layer() -> None:
    network = single(Dense(np.ones((128, 784), np.int64)), (784,), (128,))
    with pytest.raises(CapacityError, match=r"a .100352 of kernel_mem(?s:.*)core none"):
        deployed(network, targets.load("speck2f"), 1)


def test_more_layers_than_cores_are_told() -> None:
    nodes: list[Any] = [Input("x", (1,), BIN)]
    last = "x"
    for k in range(10):
        nodes.append(Linear(f"w{k}", (last,), Dense(np.array([[9]]))))
        nodes.append(population(f"n{k}", f"w{k}", (1,), 5, 1))
        last = f"n{k}"
    network = IntegerNetwork("long", (*nodes, Output("out", (last,))))
    with pytest.raises(CapacityError, match="10 layers do not fit 9 cores"):
        deployed(network, targets.load("speck2f"), 1)


def single(weights: Conv | Dense, shape: tuple[int, ...], out: tuple[int, ...]) -> IntegerNetwork:
    flat = (size_of(shape),) if isinstance(weights, Dense) else shape
    nodes = (
        Input("x", shape, BIN),
        Index("f", ("x",), flat),
        Linear("w", ("f",), weights),
        population("a", "w", out, 5, 3),
        Output("out", ("a",)),
    )
    return IntegerNetwork("single", nodes)


def replace_layers(target: Target, **fields: Any) -> Target:
    return changed(target, layers=fields)


KERNEL = np.ones((2, 2, 3, 3), np.int64)


def conv(stride: int = 1, padding: int = 1, kernel: Any = KERNEL, groups: int = 1) -> Conv:
    return Conv(kernel, (stride, stride), ((padding, padding),) * 2, (1, 1), groups)


REFUSED = {
    "stride of 3": single(conv(stride=3), (2, 9, 9), (2, 3, 3)),
    "padding of 8": single(conv(padding=8), (2, 9, 9), (2, 23, 23)),
    "not square": single(conv(kernel=np.ones((2, 2, 1, 3), np.int64), padding=0),
                         (2, 9, 9), (2, 9, 7)),
    "2 groups": single(conv(kernel=np.ones((2, 1, 3, 3), np.int64), groups=2), (2, 9, 9),
                       (2, 9, 9)),
    "an output of 65 x 65": single(conv(), (2, 65, 65), (2, 65, 65)),
    "a kernel of 17 x 17": single(Dense(np.ones((2, 289), np.int64)), (1, 17, 17), (2,)),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_layers_that_no_core_can_hold_are_refused_by_name(reason: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"a: .*{reason}"):
        deployed(REFUSED[reason], targets.load("speck2f"), 1)


def test_what_needs_time_is_refused() -> None:
    network = chain(np.random.default_rng(0))
    nodes = [n for n in network.nodes if n.name not in ("pool", "c2")]
    late = replace(network, nodes=(
        *nodes, Delay("late", ("a",), 1),
        Pool("pool", ("late",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0))), network.node["c2"],
    ))  # fmt: skip
    found = verdicts(late, targets.load("speck2f"))
    assert any(f.node == "late" and f.kind == "refused" and "time steps" in f.reason for f in found)
    leaky = replace(network, nodes=tuple(
        replace(n, leak=Leak(np.array(3), 2)) if n.name == "b" else n for n in network.nodes
    ))  # fmt: skip
    with pytest.raises(UnsupportedError, match="leak"):
        deployed(leaky, targets.load("speck2f"), 1)


def test_thresholds_are_registers_of_the_layer() -> None:
    network = chain(np.random.default_rng(0))
    uneven = replace(network, nodes=tuple(
        replace(n, thresholds=np.array([[[[100]], [[101]], [[102]]]])) if n.name == "a" else n
        for n in network.nodes
    ))  # fmt: skip
    with pytest.raises(UnsupportedError, match="a: thresholds that differ"):
        deployed(uneven, targets.load("speck2f"), 1)


def test_the_checker_recounts_layers() -> None:
    good = deployed(chain(np.random.default_rng(0), size=32), targets.load("speck2f"), 1)
    assert examine(good).checked["layers"] == 3 * (1 + 2)
    small = replace_layers(
        good.target,
        resources={
            **good.target.model_dump()["layers"]["resources"],
            "neuron_mem": {"capacity": [3000] * 9, "u": "word", "ev": "assumed",
                           "use": "c_out * pow2_ceil(out_h) * pow2_ceil(out_w)"},
        },
    )  # fmt: skip
    report = examine(replace(good, target=small))
    assert report.broken == {"layers": 1}
    assert "3072 word of neuron_mem" in str(report.violations[0])
    swapped = good.cores.neuron_source.copy()
    swapped[[0, -1]] = swapped[[-1, 0]]
    found = examine(replace(good, cores=replace(good.cores, neuron_source=swapped)))
    assert "not exactly one whole layer" in str(found.violations)


def test_descriptions_that_contradict_themselves_are_found() -> None:
    good = speck()
    assert check_target(good) == []
    for part, fields, text in (
        ("topology", {"grid": (2, 1)}, "one router"),
        ("execution", {"min_delay": 1}, "both are 0"),
        ("execution", {"tick_s": {"v": None, "ev": "unknown"}}, "tick_s"),
        ("spike", {"codes": ["unary"]}, "need ticks"),
        ("layers", {"synops_per_s": [1.0]}, "each of the 9"),
        ("neuron", {"leak": "multiplicative"}, "leak"),
    ):
        findings = check_target(changed(good, **{part: fields}))
        assert any(text in finding for finding in findings), (part, findings)
    with pytest.raises(TargetError, match="unknown name"):
        evaluate("c_in * z", {"c_in": 1})
