from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.onnx_quantized import (
    MICROSOFT,
    Graph,
    compiled,
    executed,
    on_grid,
    population_of,
    runtime,
)

from snnc.ir.errors import ModelError, SnncError, UnsupportedError
from snnc.ir.neuron import Neuron

SEEDS = st.integers(0, 2**32 - 1)
SHAPE = (3, 6, 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quantized")


def entering(g: Graph, size: float = 0.02) -> tuple[str, str, str]:
    """The quantized input: (integers, scale, zero point)."""
    s, z = g.scale(size), g.zero()
    g.entry = (s, z)
    return g.q("x", s, z), s, z


def samples(g: Graph, count: int = 6) -> Any:
    """Inputs over the whole range of the first quantizer, and none beyond."""
    scale, zero = (g.value(name) for name in g.entry)
    limits = np.iinfo(zero.dtype)
    low, high = ((end - int(zero)) * scale for end in (limits.min, limits.max))
    return g.rng.uniform(low, high, (count, *g.shape)).astype(np.float32)


def equal(path: Path, g: Graph, tensors: dict[str, str], *, optimised: bool = True) -> int:
    """Integers of the populations behind tensors are the runtime's; how many were compared.

    ``tensors``: zero point (a constant's name) by tensor.
    """
    network = compiled(path)
    x = samples(g)
    theirs = runtime(path, x, list(tensors), optimised=optimised)
    ours = executed(network, on_grid(network, x))
    total = 0
    for tensor, zero in tensors.items():
        name = population_of(path, tensor)
        expected = theirs[tensor].astype(np.int64) - int(g.value(zero))
        assert np.array_equal(ours[name].reshape(-1), expected.reshape(-1)), tensor
        assert np.unique(expected).size > 3
        total += expected.size
    return total


# -- operators with their own grids --------------------------------------------------------------


def qlinear_conv(g: Graph, x: tuple[str, str, str], channels: int, out_scale: float) -> Any:
    """QLinearConv with per-channel scales and a bias; (integers, scale, zero point)."""
    groups = int(g.rng.choice([1, channels])) if channels == SHAPE[0] else 1
    weight = g.weight((channels, SHAPE[0] // groups, 3, 2))
    scales = g.const(g.rng.uniform(0.001, 0.01, channels), np.float32)
    zeros = g.const(np.zeros(channels), np.int8)
    bias = g.const(g.rng.integers(-3000, 3000, channels), np.int32)
    s, z = g.scale(out_scale), g.zero()
    stride = [int(g.rng.integers(1, 3)), 1]
    made = g.op("QLinearConv", *x, weight, scales, zeros, s, z, bias, group=groups,
                kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=stride)  # fmt: skip
    return made, s, z


@given(SEEDS, st.sampled_from([np.uint8, np.int8]))
@settings(max_examples=6, deadline=None)
def test_convolutions_equal_onnxruntime(folder: Path, seed: int, dtype: Any) -> None:
    g = Graph(seed, SHAPE, dtype)
    first = qlinear_conv(g, entering(g), 3, 0.02)
    second = qlinear_conv(g, first, 4, 0.03)
    path = g.save(folder, g.dq(*second))
    assert equal(path, g, {first[0]: first[2], second[0]: second[2]}) > 100


@given(SEEDS, st.sampled_from([np.uint8, np.int8]), st.booleans())
@settings(max_examples=6, deadline=None)
def test_products_equal_onnxruntime(folder: Path, seed: int, dtype: Any, across: bool) -> None:
    g = Graph(seed, (12,), dtype)
    x, sx, zx = entering(g)
    s1, z1, s2, z2 = g.scale(0.05), g.zero(), g.scale(0.3), g.zero()
    wide = g.const(g.rng.uniform(0.005, 0.02, 7), np.float32)
    weight = g.weight((7, 12) if across else (12, 7))
    bias = g.const(g.rng.integers(-3000, 3000, 7), np.int32)
    gemm = g.op("QGemm", x, sx, zx, weight, wide, g.const(np.zeros(7), np.int8), bias, s1, z1,
                domain=MICROSOFT, transB=int(across), alpha=1.0, transA=0)  # fmt: skip
    matrix = g.weight((7, 5))
    product = g.op("QLinearMatMul", gemm, s1, z1, matrix, g.scale(0.01),
                   g.const(0, np.int8), s2, z2)  # fmt: skip
    path = g.save(folder, g.dq(product, s2, z2))
    assert equal(path, g, {gemm: z1, product: z2}) > 50


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_integer_products_and_their_scale_equal_onnxruntime(folder: Path, seed: int) -> None:
    """ConvInteger and MatMulInteger: zero points of both sides, the scale as a later factor."""
    g = Graph(seed, SHAPE, np.uint8)
    x, sx, zx = entering(g)
    kernel, kzero = g.weight((2, 3, 3, 3), np.uint8), g.const(130, np.uint8)
    acc = g.op("ConvInteger", x, kernel, zx, kzero, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    real = g.op("Mul", g.op("Cast", acc, to=1), g.const(g.value(sx) * 0.01, np.float32))
    s1, z1 = g.scale(0.1), g.zero()
    q1 = g.q(g.op("Relu", real), s1, z1)
    flat = g.op("Flatten", q1)
    matrix, mzero = g.weight((60, 5), np.uint8), g.const(120, np.uint8)
    sums = g.op("Cast", g.op("MatMulInteger", flat, matrix, z1, mzero), to=1)
    s2, z2 = g.scale(2.0), g.zero()
    factors = g.const(g.rng.uniform(0.005, 0.02, 5), np.float32)
    q2 = g.q(g.op("Mul", sums, factors), s2, z2)
    path = g.save(folder, g.dq(q2, s2, z2))
    assert equal(path, g, {q1: z1, q2: z2}) > 100


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_pools_equal_onnxruntime(folder: Path, seed: int) -> None:
    g = Graph(seed, SHAPE, np.uint8)
    x, sx, zx = entering(g)
    most = g.op("MaxPool", x, kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    s1, s2 = g.scale(0.02), g.scale(0.02)
    z1 = z2 = zx
    mean = g.op("QLinearAveragePool", most, sx, zx, s1, z1, domain=MICROSOFT, kernel_shape=[3, 2],
                strides=[1, 2])  # fmt: skip
    whole = g.op("QLinearGlobalAveragePool", mean, s1, z1, s2, z2, domain=MICROSOFT)
    path = g.save(folder, g.dq(whole, s2, z2))
    network, data = compiled(path), samples(g, 20)
    theirs = runtime(path, data, [mean, whole])
    ours = executed(network, on_grid(network, data))
    for tensor in (mean, whole):  # the runtime adds the terms of a mean in float32
        expected = theirs[tensor].astype(np.int64) - int(g.value(z1))
        found = ours[population_of(path, tensor)]
        assert np.abs(found - expected).max() <= 1
        assert np.count_nonzero(found != expected) <= 1e-2 * found.size
    assert np.unique(ours[population_of(path, mean)]).size > 20


@given(SEEDS, st.floats(0.3, 3))
@settings(max_examples=6, deadline=None)
def test_residual_sums_on_two_grids_equal_onnxruntime(
    folder: Path, seed: int, ratio: float
) -> None:
    """All pairs of 8-bit operands are checked when factors are chosen; a rest is counted."""
    g = Graph(seed, SHAPE, np.uint8)
    x, sx, zx = entering(g)
    weight = g.weight((3, 3, 1, 1))
    s1, z1, s2, z2 = g.scale(0.02 * ratio), g.zero(), g.scale(0.04), g.zero()
    branch = g.op("QLinearConv", x, sx, zx, weight, g.scale(0.005), g.const(0, np.int8), s1, z1)
    total = g.op("QLinearAdd", x, sx, zx, branch, s1, z1, s2, z2, domain=MICROSOFT)
    path = g.save(folder, g.dq(total, s2, z2))
    network = compiled(path)
    data = samples(g, 20)
    theirs = runtime(path, data, [total])[total].astype(np.int64) - int(g.value(z2))
    ours = executed(network, on_grid(network, data))[population_of(path, total)]
    assert np.abs(ours - theirs).max() <= 1
    assert np.count_nonzero(ours != theirs) <= 2  # float32 ties between two levels
    assert np.unique(theirs).size > 20


def test_sums_on_one_grid_need_no_factor(folder: Path) -> None:
    g = Graph(1, SHAPE, np.uint8)
    x, sx, zx = entering(g)
    s2, z2 = g.scale(0.05), g.zero()
    weight = g.weight((3, 3, 1, 1))
    branch = g.op("QLinearConv", x, sx, zx, weight, g.scale(0.005), g.const(0, np.int8), sx, zx)
    total = g.op("QLinearAdd", x, sx, zx, branch, sx, zx, s2, z2, domain=MICROSOFT)
    path = g.save(folder, g.dq(total, s2, z2))
    assert equal(path, g, {total: z2}) > 100
    assert not any(
        name.startswith(population_of(path, total)) for name in compiled(path).assumptions
    )


@given(SEEDS)
@settings(max_examples=4, deadline=None)
def test_activations_between_integers_equal_onnxruntime(folder: Path, seed: int) -> None:
    g = Graph(seed, SHAPE, np.uint8)
    x, sx, zx = entering(g)
    s1, z1, s2, z2 = g.scale(0.01), g.zero(), g.scale(0.02), g.zero()
    leaky = g.op("QLinearLeakyRelu", x, sx, zx, s1, z1, domain=MICROSOFT, alpha=0.2)
    parts = g.op("QLinearConcat", s2, z2, x, sx, zx, leaky, s1, z1, domain=MICROSOFT, axis=1)
    path = g.save(folder, g.dq(parts, s2, z2))
    network = compiled(path)
    data = samples(g)
    theirs = runtime(path, data, [parts])
    ours = executed(network, on_grid(network, data))
    joined = next(v for v in ours.values() if v.shape[1] == 6)
    expected = theirs[parts].astype(np.int64) - int(g.value(z2))
    assert np.count_nonzero(joined != expected) <= 1
    assert np.abs(joined - expected).max() <= 1


# -- in floating point between quantizers --------------------------------------------------------


def floating_block(g: Graph, x: str, scale: str, *, channels: int, falling: bool) -> Any:
    """Conv with int32 bias, BatchNormalization (of both signs), an activation, a quantizer."""
    weight = g.weight((channels, SHAPE[0], 3, 3))
    ws = g.const(g.rng.uniform(0.002, 0.01, channels), np.float32)
    w = g.dq(weight, ws, g.const(np.zeros(channels), np.int8), axis=0)
    bs = g.const(g.value(scale) * g.value(ws), np.float32)
    bias = g.dq(g.const(g.rng.integers(-3000, 3000, channels), np.int32), bs,
                g.const(np.zeros(channels), np.int32), axis=0)  # fmt: skip
    y = g.op("Conv", x, w, bias, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    signs = g.rng.choice([-1.0, 1.0], channels) if falling else np.ones(channels)
    y = g.op(
        "BatchNormalization", y, g.const(signs * g.rng.uniform(0.5, 1.5, channels), np.float32),
        *(g.const(g.rng.uniform(a, b, channels), np.float32)
          for a, b in ((-0.5, 0.5), (-0.5, 0.5), (0.5, 1.5))),
    )  # fmt: skip
    kind = str(g.rng.choice(["Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSigmoid"]))
    bounds = [g.const(-0.4, np.float32), g.const(1.1, np.float32)] if kind == "Clip" else []
    y = g.op(kind, y, *bounds)
    s, z = g.scale(0.02 if kind in ("Relu", "LeakyRelu") else 0.008), g.zero()
    return g.q(y, s, z), s, z


@given(SEEDS, st.sampled_from([np.uint8, np.int8]), st.booleans(), st.booleans())
@settings(max_examples=10, deadline=None)
def test_blocks_in_floating_point_equal_onnxruntime(
    folder: Path, seed: int, dtype: Any, falling: bool, optimised: bool
) -> None:
    """Only a sum that lies between two levels within float32 rounding may differ, by one level."""
    g = Graph(seed, SHAPE, dtype)
    x, sx, zx = entering(g)
    q1, s1, z1 = floating_block(g, g.dq(x, sx, zx), sx, channels=3, falling=falling)
    path = g.save(folder, g.dq(q1, s1, z1))
    network = compiled(path)
    data = samples(g, 12)
    theirs = runtime(path, data, [q1], optimised=optimised)[q1].astype(np.int64)
    ours = executed(network, on_grid(network, data))[population_of(path, q1)]
    difference = ours - (theirs - int(g.value(z1)))
    assert np.abs(difference).max() <= 1
    assert np.count_nonzero(difference) <= 1e-3 * difference.size
    assert np.unique(ours).size > 3


def test_a_quantizer_that_changes_nothing_is_no_population(folder: Path) -> None:
    g = Graph(5, SHAPE, np.int8)
    x, sx, zx = entering(g)
    again = g.q(g.op("Reshape", g.dq(x, sx, zx), g.const([1, 90], np.int64)), sx, zx)
    weight = g.weight((4, 90))
    w = g.dq(weight, g.scale(0.01), g.const(0, np.int8))
    y = g.op("Gemm", g.dq(again, sx, zx), w, transB=1)
    s, z = g.scale(0.5), g.zero()
    last = g.q(y, s, z)
    path = g.save(folder, g.dq(last, s, z))
    assert [n.name for n in compiled(path).populations] == [population_of(path, last)]
    assert equal(path, g, {last: z}) > 20


def test_quantize_clip_dequantize_narrows_the_levels(folder: Path) -> None:
    """QCDQ: 4 bits inside 8."""
    g = Graph(7, (10,), np.int8)
    x, sx, zx = g.q("x", g.const(0.1, np.float32), g.const(0, np.int8)), "k1", "k2"
    x = g.op("Clip", x, g.const(-7, np.int8), g.const(7, np.int8))
    stored = g.const(g.rng.normal(size=(6, 10)), np.float32)
    weight = g.q(stored, g.const(0.3, np.float32), g.const(0, np.int8))
    weight = g.op("Clip", weight, g.const(-3, np.int8), g.const(3, np.int8))
    w = g.dq(weight, g.const(0.3, np.float32), g.const(0, np.int8))
    y = g.op("Gemm", g.dq(x, sx, zx), w, transB=1)
    s, z = g.const(0.11, np.float32), g.const(0, np.int8)
    low, high = g.const(0, np.int8), g.const(15, np.int8)
    last = g.op("Clip", g.q(g.op("Relu", y), s, z), low, high)
    path = g.save(folder, g.dq(last, s, z))
    network = compiled(path)
    (population,) = network.populations
    assert (population.levels, population.negative_levels) == (15, 0)
    data = g.rng.uniform(-0.69, 0.69, (40, 10)).astype(np.float32)
    theirs = runtime(path, data, [last])[last]
    ours = executed(network, on_grid(network, data))[population.name]
    assert np.array_equal(ours, theirs)
    assert set(np.unique(ours)) == set(range(np.unique(ours).max() + 1))


# -- outputs -------------------------------------------------------------------------------------


def test_an_output_that_is_a_sum_keeps_the_order_of_the_classes(folder: Path) -> None:
    g = Graph(9, (12,), np.uint8)
    x, sx, zx = entering(g)
    ws = g.const(g.rng.uniform(0.005, 0.02, 6), np.float32)
    w = g.dq(g.weight((6, 12)), ws, g.const(np.zeros(6), np.int8), axis=0)
    bias = g.const(g.rng.normal(size=6), np.float32)
    y = g.op("Softmax", g.op("Gemm", g.dq(x, sx, zx), w, bias, transB=1), axis=1)
    path = g.save(folder, y)
    network = compiled(path)
    assert "keeps the order" in " ".join(network.assumptions.values())
    assert "no common grid" in " ".join(network.assumptions.values())
    data = samples(g, 200)
    theirs = runtime(path, data, [y])[y]
    ours = executed(network, on_grid(network, data))[y]
    near = np.sort(theirs)[:, -1] - np.sort(theirs)[:, -2] < 1e-2
    assert np.array_equal(ours.argmax(1)[~near], theirs.argmax(1)[~near])
    assert near.sum() < 40


# -- refusals ------------------------------------------------------------------------------------


def dense(g: Graph, x: str, weight: str) -> str:
    return g.op("Gemm", x, weight, transB=1)


def case_float_weights(g: Graph) -> str:
    x = g.dq(*entering(g))
    return dense(g, x, g.const(g.rng.normal(size=(4, 12)), np.float32))


def case_float_activation(g: Graph) -> str:
    w = g.dq(g.weight((12, 12)), g.scale(0.01), g.const(0, np.int8))
    y = g.op("Relu", dense(g, g.dq(*entering(g)), w))
    return dense(g, y, w)


def case_dynamic(g: Graph) -> str:
    g.nodes.append(onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["dq", "ds", "dz"]))
    return g.dq("dq", "ds", "dz")


def case_two_grids(g: Graph) -> str:
    s, z = g.const(0.5, np.float32), g.zero()
    return g.op("Add", g.dq(*entering(g)), g.dq(g.q("x", s, z), s, z))


def case_activation_per_channel(g: Graph) -> str:
    s, z = g.const(np.linspace(0.01, 0.02, 12), np.float32), g.const(np.zeros(12), np.uint8)
    w = g.dq(g.weight((4, 12)), g.scale(0.01), g.const(0, np.int8))
    y = g.op("Relu", g.dq(*entering(g)))
    return dense(g, g.dq(g.q(y, s, z, axis=1), s, z, axis=1), w)


def case_negative_scale(g: Graph) -> str:
    return g.dq(g.q("x", g.const(-0.1, np.float32), g.zero()), "k1", "k2")


def case_wrong_axis(g: Graph) -> str:
    s, z = g.const([0.1, 0.2], np.float32), g.const([0, 0], np.uint8)
    return g.dq(g.q("x", s, z, axis=1), s, z, axis=1)


def case_product_of_data(g: Graph) -> str:
    x = g.dq(*entering(g))
    return g.op("Mul", x, x)


def case_unknown(g: Graph) -> str:
    return g.op("Erf", g.dq(*entering(g)))


def case_wide(g: Graph) -> str:
    s = g.scale(0.1)
    return g.dq(g.q("x", s, g.const(0, np.int32)), s, g.const(0, np.int32))


@pytest.mark.parametrize(
    ("case", "error", "words"),
    [
        (case_float_weights, UnsupportedError, "weights are not quantized"),
        (case_float_activation, UnsupportedError, "not quantized where it is summed.*QDQ"),
        (case_dynamic, UnsupportedError, "computed from the data.*statically"),
        (case_two_grids, UnsupportedError, "one input on two grids"),
        (case_activation_per_channel, UnsupportedError, "one scale per channel"),
        (case_negative_scale, ModelError, "positive and finite"),
        (case_wrong_axis, ModelError, "one per element of the axis"),
        (case_product_of_data, UnsupportedError, "both operands depend"),
        (case_unknown, UnsupportedError, "does not have.*Erf"),
        (case_wide, SnncError, "16 bits"),
    ],
)
def test_what_has_no_integer_form_is_refused(
    folder: Path, case: Any, error: type[SnncError], words: str
) -> None:
    g = Graph(3, (12,), np.uint8)
    path = g.save(folder, case(g))
    with pytest.raises(error, match=f"(?s)q.onnx.*{words}"):
        compiled(path)


def test_a_population_per_quantizer_and_zero_points_are_gone(folder: Path) -> None:
    g = Graph(11, SHAPE, np.uint8)
    first = qlinear_conv(g, entering(g), 3, 0.02)
    network = compiled(g.save(folder, g.dq(*first)))
    (population,) = network.of_type(Neuron)
    zero = int(g.value(first[2]))
    assert (population.negative_levels, population.levels) == (zero, 255 - zero)
    assert str(network.types[population.name]) == f"scnt({max(zero, 255 - zero)})"


@pytest.mark.parametrize("kind", ["INT4", "UINT4"])
def test_four_bits_are_not_eight(folder: Path, kind: str) -> None:
    """A zero point of 4 bits is stored in bytes, and bounds the integers all the same."""
    helper, code = onnx.helper, getattr(onnx.TensorProto, kind)
    zero = helper.make_tensor("zero", code, [], [3])
    weight = helper.make_tensor("weight", onnx.TensorProto.INT8, [1, 1], [2])
    one = [helper.make_tensor(n, onnx.TensorProto.FLOAT, [], [1.0]) for n in ("s", "ws")]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "zero"], ["q"], name="first"),
        helper.make_node("DequantizeLinear", ["q", "s", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["weight", "ws"], ["w"]),
        helper.make_node("Gemm", ["d", "w"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "s", "zero"], ["z"], name="last"),
        helper.make_node("DequantizeLinear", ["z", "s", "zero"], ["out"]),
    ]
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 1]) for n in ("x", "out")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [zero, weight, *one])
    opsets = [helper.make_opsetid("", 21)]
    path = folder / "four.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    )
    low, high = (-8, 7) if kind == "INT4" else (0, 15)
    network = compiled(path)
    every = np.arange(low - 3, high - 2)
    expected = np.clip(2 * every + 3, low, high) - 3
    ours = executed(network, every.reshape(-1, 1, 1))["last"]
    assert ours[:, 0].tolist() == expected.tolist()


# -- on a chip -----------------------------------------------------------------------------------


def test_a_quantized_network_runs_on_a_chip_with_enough_levels(folder: Path) -> None:
    """ONNX file to cycle-level simulation: 255 levels cross the chip of the teaching target."""
    import snnc
    from snnc.compiler.options import CompileOptions

    g = Graph(21, (10,), np.uint8)
    s, z = g.scale(0.05), g.const(0, np.uint8)
    x = g.dq(g.q("x", s, z), s, z)
    w1 = g.dq(g.weight((8, 10)), g.scale(0.01), g.const(0, np.int8))
    s1, z1 = g.scale(0.1), g.const(0, np.uint8)
    hidden = g.dq(g.q(g.op("Relu", g.op("Gemm", x, w1, transB=1)), s1, z1), s1, z1)
    w2 = g.dq(g.weight((4, 8)), g.scale(0.01), g.const(0, np.int8))
    s2, z2 = g.scale(0.3), g.const(0, np.uint8)
    y = g.dq(g.q(g.op("Gemm", hidden, w2, transB=1), s2, z2), s2, z2)
    path = g.save(folder, y)
    np.savez(folder / "x.npz", x=g.rng.uniform(0, 4, (6, 10)).astype(np.float32))
    compiled_ = snnc.compile(
        path, CompileOptions(target="toy-mesh", timesteps=1), output=folder / "q.snnc"
    )
    assert compiled_.deployment is not None
    inputs = snnc.InputOptions(encode="direct")
    ran = snnc.run(folder / "q.snnc", folder / "x.npz", inputs=inputs, compare=6)
    assert ran.mismatches == 0
    assert sum(ran.spikes.values()) > 100


def test_a_chip_with_single_spikes_refuses_255_levels(folder: Path) -> None:
    import snnc

    g = Graph(22, SHAPE, np.uint8)
    first = qlinear_conv(g, entering(g), 3, 0.02)
    path = g.save(folder, g.dq(*first))
    found = snnc.check(path, "loihi1")
    assert not found.ok
    (refused,) = [n for n in found.nodes if n.verdict == "refused"]
    zero = int(g.value(first[2]))
    assert f"{255 - zero} spike levels, the target has 1" in refused.problem
