"""QONNX, which onnxruntime does not know: compared with its definition, written down here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.onnx_quantized import Graph, compiled, executed
from support.paths import require_data

from snnc.compiler.frontends import onnx as frontend
from snnc.ir.errors import ModelError, SnncError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input

DOMAIN = "qonnx.custom_op.general"
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("qonnx")


def round_half(x: Any, up: bool) -> Any:
    whole = np.trunc(x)
    rest = np.abs(x - whole)
    away = rest >= 0.5 if up else rest > 0.5
    return whole + np.sign(x) * away


ROUND = {
    "ROUND": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.copysign(np.ceil(np.abs(x)), x),
    "DOWN": np.fix,
    "HALF_UP": lambda x: round_half(x, True),
    "HALF_DOWN": lambda x: round_half(x, False),
}


def quant(x: Any, scale: Any, zero: float, bits: int, signed: int, narrow: int, mode: str) -> Any:
    """The definition of Quant, as integers."""
    if signed:
        low, high = -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    else:
        low, high = 0, 2**bits - 1 - narrow
    y = np.float32(x) / np.float32(scale) + np.float32(zero)
    return ROUND[mode](np.clip(y, low, high))


def q(g: Graph, x: str, scale: Any, zero: int, bits: int, **attributes: Any) -> str:
    operands = (g.const(v, np.float32) for v in (scale, zero, bits))
    return g.op("Quant", x, *operands, domain=DOMAIN, **attributes)


@given(
    SEEDS, st.integers(2, 6), st.booleans(), st.booleans(), st.sampled_from(sorted(ROUND)),
    st.integers(-1, 1),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_quant_equals_its_definition(
    folder: Path, seed: int, bits: int, signed: bool, narrow: bool, mode: str, shift: int
) -> None:
    """Dense, BatchNormalization of both signs, activation, Quant; scales are powers of two."""
    g = Graph(seed, (9,))
    rng = g.rng
    w_scale = 2.0 ** -rng.integers(2, 5, (1, 6)) if seed % 2 else 0.125
    w_float = rng.normal(size=(9, 6)).astype(np.float32)
    weight = q(g, g.const(w_float), w_scale, 0, 4, signed=1, narrow=1, rounding_mode="ROUND")
    x = q(g, "x", 0.25, 0, 5, signed=1, narrow=0, rounding_mode="ROUND")
    y = g.op("MatMul", x, weight)
    gain = (rng.choice([-1.0, 1.0], 6) * 2.0 ** rng.integers(-1, 2, 6)).astype(np.float32)
    bias = (rng.integers(-8, 8, 6) / 8).astype(np.float32)
    y = g.op("Add", g.op("Mul", y, g.const(gain)), g.const(bias))
    zero = shift if not signed else 0
    last = q(g, y, 0.3, zero, bits, signed=int(signed), narrow=int(narrow), rounding_mode=mode)
    path = g.save(folder, last)
    network = compiled(path)
    integers = rng.integers(-16, 16, (30, 1, 9))
    weights = quant(w_float, w_scale, 0, 4, 1, 1, "ROUND") * np.float32(w_scale)
    real = (integers[:, 0] * np.float32(0.25)) @ weights
    real = np.float32(real) * gain + bias
    expected = quant(real, 0.3, zero, bits, int(signed), int(narrow), mode) - zero
    ours = executed(network, integers)[f"n{last[1:]}"]
    assert np.array_equal(ours, expected.astype(np.int64))


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_bipolar_networks_equal_their_definition(folder: Path, seed: int) -> None:
    """-1 and +1 become a spike or none, padding of the next convolution stays 0."""
    g = Graph(seed, (2, 5, 4))
    rng = g.rng
    x = q(g, "x", 1.0, 0, 2, signed=1, narrow=1, rounding_mode="ROUND")
    one = g.const(1.0, np.float32)

    def bipolar(tensor: str) -> str:
        return g.op("BipolarQuant", tensor, one, domain=DOMAIN)

    w1 = rng.normal(size=(3, 2, 3, 3)).astype(np.float32)
    w2 = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    w3 = rng.normal(size=(5, 4 * 20)).astype(np.float32)
    window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    first = bipolar(g.op("Conv", x, bipolar(g.const(w1)), **window))
    second = bipolar(g.op("Conv", first, bipolar(g.const(w2)), **window))
    logits = g.op("Gemm", g.op("Flatten", second), bipolar(g.const(w3)), transB=1)
    path = g.save(folder, logits)
    network = compiled(path)
    assert {str(network.types[p.name]) for p in network.populations[:2]} == {"bin"}

    def sign(v: Any) -> Any:
        return np.where(v >= 0, 1, -1)

    def conv(v: Any, w: Any) -> Any:
        padded = np.pad(v, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return sum(
            np.einsum("oi,nihw->nohw", w[:, :, i, j], padded[:, :, i : i + 5, j : j + 4])
            for i in range(3) for j in range(3)
        )  # fmt: skip

    integers = rng.integers(-1, 2, (20, 1, 2, 5, 4))
    a = sign(conv(integers[:, 0], sign(w1)))
    b = sign(conv(a, sign(w2)))
    expected = b.reshape(20, -1) @ sign(w3).T
    ours = executed(network, integers)
    assert np.array_equal(2 * ours[f"n{first[1:]}"] - 1, a)
    assert np.array_equal(2 * ours[f"n{second[1:]}"] - 1, b)
    scores = ours[logits]
    assert all(np.ptp(np.argsort(s) - np.argsort(e)) == 0 or np.unique(e).size < 5
               for s, e in zip(scores, expected, strict=True))  # fmt: skip
    scale = np.diff(scores, axis=1)
    assert np.array_equal(scale * np.diff(expected, axis=1)[0, 0],
                          np.diff(expected, axis=1) * scale[0, 0])  # fmt: skip


def test_trunc_shifts_a_mean_to_the_right(folder: Path) -> None:
    """Brevitas' average pooling: sum on the grid, then truncation to fewer bits."""
    g = Graph(4, (2, 4, 4))
    x = q(g, "x", 0.5, 0, 4, signed=0, narrow=0, rounding_mode="ROUND")
    mean = g.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    total = g.op("Mul", mean, g.const(4.0, np.float32))
    cut = g.op("Trunc", total, *(g.const(v, np.float32) for v in (0.5, 0, 6, 4)), domain=DOMAIN,
               rounding_mode="FLOOR")  # fmt: skip
    path = g.save(folder, cut)
    integers = g.rng.integers(0, 16, (10, 1, 2, 4, 4))
    sums = integers[:, 0].reshape(10, 2, 2, 2, 2, 2).sum(axis=(3, 5))
    ours = executed(compiled(path), integers)[f"n{cut[1:]}"]
    assert np.array_equal(ours, sums // 4)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"bits": 2.5}, UnsupportedError, "not one integer"),
        ({"bits": 40}, UnsupportedError, "bit width"),
        ({"scale": -1.0}, ModelError, "positive and finite"),
        ({"rounding_mode": "STOCHASTIC"}, UnsupportedError, "unknown rounding"),
    ],
)
def test_malformed_quantizers_are_refused(
    folder: Path, change: dict[str, Any], error: type[SnncError], words: str
) -> None:
    values: dict[str, Any] = {"scale": 0.5, "zero": 0, "bits": 4, "signed": 1, "narrow": 0,
                              "rounding_mode": "ROUND", **change}  # fmt: skip
    g = Graph(1, (4,))
    y = g.op("Relu", q(g, "x", 0.5, 0, 4, signed=1, narrow=0, rounding_mode="ROUND"))
    with pytest.raises(error, match=f"(?s)Quant.*{words}"):
        compiled(g.save(folder, q(g, y, **values)))


# -- models of others ----------------------------------------------------------------------------


def digits(count: int) -> tuple[Any, Any]:
    import gzip

    def read(kind: str, offset: int) -> Any:
        folder = require_data("mnist")
        (path,) = folder.glob(f"t10k-{kind}*")
        return np.frombuffer(gzip.open(path).read(), np.uint8, offset=offset)

    return read("images", 16).reshape(-1, 1, 28, 28)[:count], read("labels", 8)[:count]


def test_the_two_bit_network_classifies_as_published() -> None:
    """98.3 % of the first 300 digits by the library of its authors."""
    network = compiled(require_data("onnx", "qonnx_TFC_2W2A.onnx"))
    assert [str(network.types[p.name]) for p in network.populations[:4]] == ["tern"] * 4
    images, labels = digits(2000)
    found = executed(network, images[:, None].astype(np.int64))
    right = found["90"].argmax(axis=1) == labels
    assert round(right[:300].mean() * 100, 1) == 98.3
    assert right.mean() > 0.95


def test_a_network_without_an_input_quantizer_says_what_it_assumes() -> None:
    network = compiled(require_data("onnx", "qonnx_qkeras_jettagging.onnx"))
    assert "not quantized by the model" in network.assumptions["input.global_in"]
    assert [str(network.types[p.name]) for p in network.populations[:3]] == ["cnt(63)"] * 3


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("mnist_cnn_qdq_int8_pt.onnx", 98.24),
        ("mnist_cnn_qdq_int8_pc.onnx", 98.25),
        ("mnist_cnn_qop_int8.onnx", 98.32),
    ],
)
def test_int8_networks_equal_onnxruntime(name: str, accuracy: float) -> None:
    """Every integer of every layer; behind a mean on one grid only ties may differ."""
    import onnx
    import onnxruntime as ort

    path = require_data("onnx_generated", name)
    network = compiled(path)
    images, labels = digits(500)
    x = images.astype(np.float32) / np.float32(255)
    (node,) = network.of_type(Input)
    integers = np.rint(x / np.float32(node.type.grid[0])).astype(np.int64)[:, None]
    ours = executed(network, integers)
    model = onnx.load(path)
    named = {n.name: n.output[0] for n in model.graph.node}
    wanted = [named[p.name] for p in network.populations]
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted)
    session = ort.InferenceSession(model.SerializeToString())
    theirs = dict(zip(wanted, session.run(wanted, {"image": x}), strict=True))
    ties = any("mean" in text for text in network.assumptions.values())
    assert ties == ("qdq" in name)
    exact = True
    for population in network.populations:
        difference = ours[population.name].reshape(-1) - theirs[named[population.name]].reshape(-1)
        if ties and "pool" in population.name:
            assert np.abs(difference).max() <= 1
            assert 0 < np.count_nonzero(difference) < 0.02 * difference.size
            exact = False
        elif exact:
            assert not difference.any()
    logits = ours["logits"]
    assert (
        abs((logits.argmax(1) == labels).mean() - (theirs[wanted[-1]].argmax(1) == labels).mean())
        < 0.003
    )
    assert 100 * (logits.argmax(1) == labels).mean() > accuracy - 1


def test_the_network_is_the_same_in_the_fast_simulator() -> None:
    from snnc.simulators import functional, reference

    network = frontend.read(require_data("onnx_generated", "mnist_cnn_qop_int8.onnx"))
    assert isinstance(network, IntegerNetwork)
    images, _ = digits(4)
    integers = {"image": np.rint(images / 255 * 127).astype(np.int64)[:, None]}
    a, b = reference.run(network, integers), functional.run(network, integers)
    assert np.array_equal(a.outputs["logits"], b.outputs["logits"])
    assert all(np.array_equal(a.spike_counts[n], b.spike_counts[n]) for n in a.spike_counts)
