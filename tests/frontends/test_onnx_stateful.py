from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cli import DIGITS
from support.paths import require_data
from support.real_nets import neuron
from support.real_random import random_real_network

from snnc.compiler.frontends import onnx as frontend
from snnc.compiler.frontends.onnx.stateful import export, model_proto
from snnc.ir.errors import ModelError, SnncError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import Add, Delay, Input, Linear, MatMul, Mul, Output, Pool, Reduce
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Dense
from snnc.simulators.reference.real import run_real

onnx = pytest.importorskip("onnx")


def through_file(network: Network, path: Path) -> Network:
    export(network, path / "net.onnx")
    result = frontend.read(path / "net.onnx")
    assert isinstance(result, Network)
    return result


def same(a: Network, b: Network, seed: int = 0, steps: int = 6, samples: int = 2) -> int:
    """Both networks on random input: equal outputs and spikes; returns how many spikes."""
    rng = np.random.default_rng(seed)
    data = {
        n.name: rng.integers(n.type.low, n.type.high + 1, (samples, steps, *n.shape)).astype(float)
        for n in a.of_type(Input)
    }
    first, second = run_real(a, data), run_real(b, data)
    for name, values in first.outputs.items():
        np.testing.assert_allclose(values, second.outputs[name], rtol=1e-12, atol=1e-12)
    for name, counts in first.spike_counts.items():
        assert counts.tolist() == second.spike_counts[name].tolist()
    return int(sum(c.sum() for c in first.spike_counts.values()))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_random_networks_survive_the_file(tmp_path_factory: Any, seed: int) -> None:
    network = random_real_network(np.random.default_rng(seed))
    again = through_file(network, tmp_path_factory.mktemp("onnx"))
    same(network, again, seed)
    for before in network.of_type(RealNeuron):
        after = again.node[before.name]
        for label in ("decay", "gain", "offset", "threshold", "reset_value", "current_decay",
                      "current_gain", "initial", "ladder"):  # fmt: skip
            x, y = getattr(before, label), getattr(after, label)
            assert (x is None) == (y is None), label
            assert x is None or np.array_equal(x, y), label
        for label in (
            "comparator", "reset", "reset_timing", "rounding", "multi_spike", "minimum",
            "negative_spikes", "refractory", "refractory_hold", "reset_factors",
        ):  # fmt: skip
            assert getattr(before, label) == getattr(after, label), label
    read = {source for node in network.nodes for source in node.inputs}
    for node in network.of_type(Input):
        assert again.node[node.name] == node or node.name not in read
    readouts = {n.name: n.readout for n in network.of_type(Output)}
    assert {n.name: n.readout for n in again.of_type(Output)} == readouts


def test_products_and_reductions(tmp_path: Path) -> None:
    network = Network(
        "attention",
        (
            Input("q", (2, 3, 4), BIN),
            Input("k", (2, 3, 4), ValueType("cnt", 3, (0.25,))),
            MatMul("kk", ("q", "k"), transpose_a=True),
            MatMul("qk", ("q", "k"), transpose_b=True),
            Mul("gate", ("q", "k")),
            Reduce("total", ("gate",), "sum", (1,)),
            Reduce("top", ("qk",), "max", (0, 2)),
            Pool("pool", ("gate",), "max", (2, 2), (1, 2), ((1, 0), (0, 1))),
            Add("alone", ("pool",)),
            neuron("a", "kk", (2, 4, 4)),
            neuron("b", "total", (2, 1, 4), reset="subtract", decay=0.7),
            neuron("c", "top", (1, 3, 1)),
            neuron("d", "alone", (2, 3, 2)),
            *(Output(f"out_{n}", (n,), "max") for n in "abcd"),
        ),
    )
    assert same(network, through_file(network, tmp_path)) > 50


def test_delays_and_loops_are_pairs(tmp_path: Path) -> None:
    weights = Dense(np.array([[0.0, 1.0], [0.5, 0.25]]))
    network = Network(
        "loop",
        (
            Input("in", (2,), BIN),
            Delay("late", ("in",), 3),
            Delay("back", ("n",), 1),
            Linear("w", ("back",), weights),
            Add("sum", ("late", "w")),
            neuron("n", "sum", (2,), reset="subtract"),
            Output("out", ("n",)),
        ),
    )
    proto = model_proto(network)
    assert {v.name for v in proto.graph.input} == {
        "late.0_in", "late.1_in", "late.2_in", "back.0_in", "in", "n.v_in",
    }  # fmt: skip
    assert same(network, through_file(network, tmp_path)) > 5


def test_numbers_are_stored_in_the_width_they_need() -> None:
    def stored(decay: float, weight: float) -> tuple[int, int]:
        network = Network(
            "n",
            (
                Input("in", (1,), BIN),
                Linear("w", ("in",), Dense(np.array([[weight]]))),
                neuron("n", "w", (1,), decay=decay),
                Output("out", ("n",)),
            ),
        )
        graph = model_proto(network).graph
        op = next(n for n in graph.node if n.op_type == "LIF")
        attribute = next(a for a in op.attribute if a.name == "decay")
        return graph.initializer[0].data_type, attribute.type

    kinds = onnx.TensorProto, onnx.AttributeProto
    assert stored(0.5, 0.25) == (kinds[0].FLOAT, kinds[1].FLOAT)
    assert stored(0.9, 0.1) == (kinds[0].DOUBLE, kinds[1].TENSOR)


@pytest.mark.parametrize("name", ["snnc_lif_step.onnx", "snnc_lif_step_ct.onnx"])
def test_files_of_torch_exporters_equal_their_decomposition_in_onnxruntime(name: str) -> None:
    """The same step taken apart into Mul, Greater, ... is what onnxruntime can run."""
    ort = pytest.importorskip("onnxruntime")
    network = frontend.read(require_data("onnx_generated", name))
    assert isinstance(network, Network)
    # The decomposed file shares the layout, not the weights: give it those of the network.
    model = onnx.load(require_data("onnx_generated", "lif_step_decomposed.onnx"))
    own = onnx.load(require_data("onnx_generated", name))
    stored = {t.name: t for t in own.graph.initializer}
    for tensor in model.graph.initializer:
        if tensor.name in stored and tensor.name.endswith(("weight", "bias")):
            tensor.CopyFrom(stored[tensor.name])
    session = ort.InferenceSession(model.SerializeToString())
    rng = np.random.default_rng(0)
    steps = 12
    x = rng.random((1, steps, 1, 28, 28)).astype(np.float32) * 3
    v1, v2 = np.zeros((1, 8, 14, 14), np.float32), np.zeros((1, 10), np.float32)
    expected = []
    for t in range(steps):
        s, v1, v2 = session.run(None, {"x": x[:, t], "v1_in": v1, "v2_in": v2})
        expected.append(s[0])
    ours = run_real(network, {"x": x}, dtype=np.float32)
    assert ours.outputs["s"][0].tolist() == np.array(expected).tolist()
    assert np.sum(expected) > 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lif_step_decomposed.onnx", "comparison"),
        ("snntorch_step_ts.onnx", "comparison"),
        ("snntorch_unrolled4_ts.onnx", "comparison"),
        ("sj_step_dynamo.onnx", "comparison"),
        ("sj_multi_dynamo.onnx", "comparison"),
    ],
)
def test_networks_taken_apart_are_refused_with_the_remedy(name: str, words: str) -> None:
    with pytest.raises(UnsupportedError, match=f"(?s){words}.*snnc::LIF"):
        frontend.read(require_data("onnx_generated", name))


# -- files written by hand, right and wrong ------------------------------------------------------


def step(
    path: Path,
    op: str = "LIF",
    inputs: tuple[str, ...] = ("x", "v_in"),
    outputs: tuple[str, ...] = ("s", "v_out"),
    graph_inputs: tuple[str, ...] = ("x", "v_in"),
    graph_outputs: tuple[str, ...] = ("s", "v_out"),
    more: tuple[Any, ...] = (),
    version: int = 1,
    **attributes: Any,
) -> Path:
    """One operator of the domain on two features."""
    helper = onnx.helper
    kind = onnx.TensorProto.FLOAT

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, kind, [1, 2])

    nodes = [helper.make_node(op, inputs, outputs, name="n", domain="snnc", **attributes), *more]
    graph = helper.make_graph(
        nodes, "g", [value(n) for n in graph_inputs], [value(n) for n in graph_outputs]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("snnc", version)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    file = path / "step.onnx"
    file.write_bytes(model.SerializeToString())
    return file


LIF: dict[str, Any] = {"decay": 0.5, "threshold": 1.0}


def test_defaults_are_those_of_the_record(tmp_path: Path) -> None:
    network = frontend.read(step(tmp_path, **LIF))
    (population,) = network.of_type(RealNeuron)
    assert (population.decay, population.threshold, population.gain) == (0.5, 1.0, 1.0)
    assert (population.comparator, population.reset, population.multi_spike) == (">", "zero", 1)
    assert network.assumptions["input values"].startswith("spikes")
    (output,) = network.of_type(Output)
    assert (output.name, output.readout) == ("s", "sum")


def test_an_integrator_shows_its_potential(tmp_path: Path) -> None:
    network = frontend.read(step(tmp_path, "LI", decay=0.5))
    found = run_real(network, {"x": np.ones((1, 3, 2))}).outputs["s"][0, :, 0]
    assert found.tolist() == [1.0, 1.5, 1.75]


IDENTITY = "Identity"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"op": "ALIF", **LIF}, UnsupportedError, "unknown operator.*LIF"),
        ({**LIF, "beta": 0.5}, UnsupportedError, "unknown attribute.*beta"),
        ({"threshold": 1.0}, ModelError, "attribute is missing|'decay'"),
        ({"op": "LI", "decay": 0.5, "threshold": 1.0}, UnsupportedError, "unknown attribute"),
        ({"op": "IF", "decay": 0.5, "threshold": 1.0}, UnsupportedError, "unknown attribute"),
        ({**LIF, "decay": float("nan")}, ModelError, "finite"),
        ({**LIF, "decay": "half"}, ModelError, "finite numbers are required"),
        ({**LIF, "decay": [0.1, 0.2, 0.3]}, ModelError, "step.onnx.*does not fit the population"),
        ({**LIF, "reset": "soft"}, ModelError, "not one of the choices.*subtract"),
        ({**LIF, "multi_spike": 1.5}, ModelError, "an integer is required"),
        ({**LIF, "reset_factors": [1.0]}, ModelError, "2 number"),
        ({**LIF, "threshold": -1.0}, ModelError, "must be positive"),
        ({**LIF, "adaptation_gain": 1.0}, ModelError, "adaptation_decay"),
        ({**LIF, "refractory": 2}, ModelError, "states are not given.*q"),
        ({**LIF, "inputs": ("x",), "graph_inputs": ("x",)}, ModelError, "states are not given"),
        ({**LIF, "inputs": ("x", "x")}, ModelError, "no pair"),
        (
            {**LIF, "graph_outputs": ("s",), "outputs": ("s", "v_out")},
            ModelError,
            "no pair.*NAME_in",
        ),
        ({**LIF, "version": 2}, UnsupportedError, "another version"),
        ({"op": "Output", "inputs": ("x",), "outputs": ("s",), "graph_inputs": ("x",),
          "graph_outputs": ("s",), "readout": "mean"}, ModelError, "unknown readout"),
        ({"op": "Input", "inputs": ("x",), "outputs": ("s",), "graph_inputs": ("x",),
          "graph_outputs": ("s",), "type": "many"}, ModelError, "unknown value type"),
    ],
)  # fmt: skip
def test_malformed_steps_are_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[SnncError], words: str
) -> None:
    with pytest.raises(error, match=f"(?s){words}"):
        frontend.read(step(tmp_path, **changes))


def test_arithmetic_beside_neurons_is_refused(tmp_path: Path) -> None:
    more = (onnx.helper.make_node("Tanh", ["s"], ["y"]),)
    with pytest.raises(UnsupportedError, match=r"(?s)does not have.*Tanh.*snnc::LIF"):
        frontend.read(step(tmp_path, graph_outputs=("y", "v_out"), more=more, **LIF))


def test_a_state_that_is_read_twice_is_refused(tmp_path: Path) -> None:
    more = (onnx.helper.make_node("Add", ["s", "v_in"], ["y"]),)
    with pytest.raises(ModelError, match="no pair"):
        frontend.read(step(tmp_path, graph_outputs=("y", "v_out"), more=more, **LIF))


def test_the_exporter_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    from snnc.ir.weights import Sparse

    rows, columns = 1 << 14, 1 << 14
    weights = Sparse(np.zeros(rows + 1, int), np.zeros(0, int), np.zeros(0), columns, (rows,))
    network = Network(
        "n",
        (
            Input("in", (columns,), BIN),
            Linear("w", ("in",), weights),
            neuron("n", "w", (rows,)),
            Output("out", ("n",)),
        ),
    )
    with pytest.raises(UnsupportedError, match=r"(?s)sparse matrix too large.*NIR"):
        export(network, tmp_path / "n.onnx")
    assert not (tmp_path / "n.onnx").exists()


def test_random_networks_are_not_silent(tmp_path: Path) -> None:
    networks = [random_real_network(np.random.default_rng(seed)) for seed in range(25)]
    assert sum(same(n, through_file(n, tmp_path), steps=10) for n in networks) > 5_000


def test_a_model_file_is_written_as_onnx(tmp_path: Path) -> None:
    import snnc
    from snnc.compiler.options import CompileOptions
    from snnc.compiler.reading import read_finished

    path = tmp_path / "digits.onnx"
    snnc.export_onnx(DIGITS, path)
    network, again = read_finished(DIGITS, CompileOptions()), frontend.read(path)
    assert isinstance(network, Network)
    with np.load(DIGITS.with_name("digits_test.npz")) as images:
        x = np.repeat(images["x"][:4, None].astype(float), 10, axis=1).reshape(4, 10, 1, 8, 8)
    a, b = run_real(network, {"input": x}), run_real(again, {"input": x})
    assert a.outputs["output"].tolist() == b.outputs["output"].tolist()
    assert a.spike_counts["lif2"].sum() > 1000
    assert a.spike_counts["lif2"].tolist() == b.spike_counts["lif2"].tolist()


def test_integers_are_not_written_as_onnx(tmp_path: Path) -> None:
    import snnc
    from snnc.ir.integer_network import IntegerNetwork

    network: Any = IntegerNetwork("n", (Input("in", (1,), BIN), Output("out", ("in",))))
    with pytest.raises(UnsupportedError, match=r"(?s)IntegerNetwork.*real numbers.*integers"):
        snnc.export_onnx(network, tmp_path / "n.onnx")
