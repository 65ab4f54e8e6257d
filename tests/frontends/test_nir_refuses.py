"""A bad node, graph or option of a NIR file is refused with place, reason and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nir_files import affine, chain, conv2d, graph, if_, lif, node, write

from snnc.compiler.frontends.nir import NirOptions, describe, read
from snnc.ir.errors import (
    ModelError,
    OptionError,
    SnncError,
    UnsupportedError,
)

INPUT = node("Input", shape=np.array([2]))
OUTPUT = node("Output", shape=np.array([2]))


def lif_with(**fields: Any) -> dict[str, Any]:
    """A LIF of two neurons with some fields replaced."""
    return lif((2,)) | fields


def cuba_with(**fields: Any) -> dict[str, Any]:
    """A CubaLIF of two neurons with some fields replaced."""
    base = node("CubaLIF", tau_syn=np.full(2, 1e-3), tau_mem=np.full(2, 1e-3), r=np.ones(2),
                v_leak=np.zeros(2), v_threshold=np.ones(2))  # fmt: skip
    return base | fields


def without(spec: dict[str, Any], label: str) -> dict[str, Any]:
    """The node with one field missing."""
    return {key: value for key, value in spec.items() if key != label}


# One node between an input of shape (2,) and an output: what the message must name.
BAD_NODES: dict[str, tuple[dict[str, Any], type[SnncError], tuple[str, ...]]] = {
    "unknown type": (node("MaxPool2d"), UnsupportedError, ("'n0' (MaxPool2d)", "unknown node")),
    "NaN weight": (
        node("Linear", weight=np.array([[1, np.nan], [0, 1]])),
        ModelError, ("'n0' (Linear), field 'weight'", "1 of 4 values are NaN", "diverged"),
    ),
    "infinite bias": (
        affine(np.eye(2), [np.inf, 0]), ModelError, ("field 'bias'", "NaN or infinite"),
    ),
    "infinite threshold": (
        lif_with(v_threshold=np.array([1, np.inf])), ModelError, ("field 'v_threshold'",),
    ),
    "negative tau": (
        lif_with(tau=np.array([1e-3, -1e-3])), ModelError,
        ("field 'tau'", "smallest -0.001", "beta > 1"),
    ),
    "zero synaptic tau": (
        cuba_with(tau_syn=np.array([0.0, 1e-3])), ModelError, ("field 'tau_syn'", "> 0"),
    ),
    "tau shorter than dt": (
        lif_with(tau=np.full(2, 1e-5), r=np.ones(2)), ModelError,
        ("field 'tau'", "1e-05", "dt = 0.0001", "--dt", "Norse"),
    ),
    "threshold of zero": (
        lif_with(v_threshold=np.zeros(2)), ModelError, ("field 'v_threshold'", "positive"),
    ),
    "missing tau": (without(lif(), "tau"), ModelError, ("field 'tau'", "missing")),
    "missing r": (without(if_(), "r"), ModelError, ("field 'r'", "missing")),
    "missing weight": (node("Linear"), ModelError, ("field 'weight'", "missing")),
    "parameter of another size": (
        lif_with(tau=np.full(3, 1e-3), r=np.ones(3)), ModelError, ("'n0' (LIF)", "(3,)", "(2,)"),
    ),
    "transposed weight": (
        node("Linear", weight=np.ones((2, 5))), ModelError,
        ("field 'weight'", "--transpose-linear", "Spyx"),
    ),
    "weight of another size": (
        node("Linear", weight=np.ones((3, 7))), ModelError, ("field 'weight'", "input (2,)"),
    ),
    "vector as weight": (node("Linear", weight=np.ones(2)), ModelError, ("at least two axes",)),
    "bias of another size": (
        affine(np.eye(2), [1, 2, 3]), ModelError, ("field 'bias'", "(3,)"),
    ),
    "scale of another size": (node("Scale", scale=np.ones(3)), ModelError, ("field 'scale'",)),
    "negative delay": (
        node("Delay", delay=np.array([-1e-4, 0])), ModelError, ("field 'delay'", "10000 steps"),
    ),
    "flatten axes that do not exist": (
        node("Flatten", start_dim=3, end_dim=5), ModelError, ("field 'start_dim'", "start 3"),
    ),
    "convolution on a vector": (
        conv2d(np.ones((1, 2, 3, 3))), ModelError, ("'n0' (Conv2d)", "input (2,)"),
    ),
    "pool on a vector": (
        node("SumPool2d", kernel_size=2, stride=2, padding=0), ModelError, ("2-D pool", "(2,)"),
    ),
    "a text instead of numbers": (node("Linear", weight="big"), ModelError, ("number", "'big'")),
    "texts instead of numbers": (
        node("Linear", weight=np.array([b"a", b"b"])), ModelError, ("number", "field 'weight'"),
    ),
    "empty weight": (node("Linear", weight=np.zeros((0, 2))), ModelError, ("empty",)),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_NODES)
def test_a_bad_node_is_named_with_its_field(case: str, tmp_path: Path) -> None:
    spec, error, words = BAD_NODES[case]
    with pytest.raises(error) as caught:
        read(chain(tmp_path / "bad.nir", (2,), spec), NirOptions("nir"))
    for word in ("bad.nir", *words):
        assert word in str(caught.value)
    assert describe(tmp_path / "bad.nir")["error"]


BAD_CONVOLUTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "channels": (conv2d(np.ones((1, 3, 3, 3))), "field 'weight'"),
    "groups": (conv2d(np.ones((3, 1, 3, 3)), groups=2), "field 'groups'"),
    "input_shape": (conv2d(np.ones((1, 2, 3, 3)), input_shape=[9, 9]), "field 'input_shape'"),
    "padding name": (conv2d(np.ones((1, 2, 3, 3)), padding="full"), "same, valid"),
    "same with stride": (conv2d(np.ones((1, 2, 3, 3)), padding="same", stride=2), "stride 1"),
    "three strides": (conv2d(np.ones((1, 2, 3, 3)), stride=[1, 1, 1]), "field 'stride'"),
    "half a stride": (conv2d(np.ones((1, 2, 3, 3)), stride=1.5), "integers"),
    "kernel beyond the image": (conv2d(np.ones((1, 2, 7, 7))), "larger than its padded input"),
    "rank": (conv2d(np.ones((1, 2, 3))), "number of axes"),
}


@pytest.mark.parametrize("case", BAD_CONVOLUTIONS)
def test_a_bad_convolution_is_refused(case: str, tmp_path: Path) -> None:
    spec, word = BAD_CONVOLUTIONS[case]
    with pytest.raises(SnncError) as caught:
        read(chain(tmp_path / "bad.nir", (2, 5, 5), spec))
    assert "bad.nir" in str(caught.value)
    assert "n0" in str(caught.value)
    assert word in str(caught.value)


def refuse(tmp_path: Path, nodes: dict[str, Any], edges: Any) -> str:
    """The message about a graph that must be refused."""
    with pytest.raises((ModelError, UnsupportedError)) as caught:
        read(write(tmp_path / "bad.nir", nodes, edges), NirOptions("nir"))
    assert "bad.nir" in str(caught.value)
    return str(caught.value)


def test_a_dangling_edge_names_both_ends_and_the_nodes_there_are(tmp_path: Path) -> None:
    nodes = {"input": INPUT, "lif1": lif((2,)), "output": OUTPUT}
    text = refuse(tmp_path, nodes, [("input", "lif"), ("lif1", "output")])
    assert "edge 'input' -> 'lif', field 'edges'" in text
    assert "lif1" in text


def test_a_node_that_nothing_feeds_is_refused(tmp_path: Path) -> None:
    nodes = {"input": INPUT, "a": lif((2,)), "b": lif((2,)), "output": OUTPUT}
    text = refuse(tmp_path, nodes, [("input", "a"), ("a", "output"), ("b", "output")])
    assert "'b' (LIF)" in text
    assert "disconnected" in text


def test_an_output_that_nothing_feeds_is_refused(tmp_path: Path) -> None:
    nodes = {"input": INPUT, "a": lif((2,)), "output": OUTPUT}
    assert "'output' (Output)" in refuse(tmp_path, nodes, [("input", "a")])


def test_tensors_of_different_shapes_cannot_be_summed(tmp_path: Path) -> None:
    nodes = {"a": INPUT, "b": node("Input", shape=np.array([3])), "sum": if_(), "output": OUTPUT}
    text = refuse(tmp_path, nodes, [("a", "sum"), ("b", "sum"), ("sum", "output")])
    assert "'sum' (IF)" in text
    assert "b (3,)" in text


def test_an_output_of_another_shape_is_refused(tmp_path: Path) -> None:
    nodes = {"input": INPUT, "a": if_((2,)), "output": node("Output", shape=np.array([7]))}
    text = refuse(tmp_path, nodes, [("input", "a"), ("a", "output")])
    assert "'output' (Output), field 'shape'" in text


def test_a_loop_without_a_spiking_neuron_is_refused(tmp_path: Path) -> None:
    nodes = {"input": INPUT, "a": affine(np.eye(2), [0, 0]), "b": affine(np.eye(2), [0, 0]),
             "output": OUTPUT}  # fmt: skip
    text = refuse(tmp_path, nodes, [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")])
    assert "nothing keeps state" in text
    assert "a, b" in text


def test_a_stateless_loop_beside_a_spiking_one_is_refused(tmp_path: Path) -> None:
    nodes = {"input": INPUT, "lif": lif((2,)), "a": affine(np.eye(2), [0, 0]),
             "wait": node("Delay", delay=np.full(2, 1e-4)), "output": OUTPUT}  # fmt: skip
    edges = [("input", "lif"), ("lif", "a"), ("a", "wait"), ("wait", "a"), ("a", "lif"),
             ("lif", "output")]  # fmt: skip
    text = refuse(tmp_path, nodes, edges)
    assert "nothing keeps state" in text
    assert "a, wait" in text


def test_a_terminal_that_feeds_itself_is_refused(tmp_path: Path) -> None:
    text = refuse(tmp_path, {"input": INPUT, "output": OUTPUT},
                  [("input", "input"), ("input", "output")])  # fmt: skip
    assert "nothing keeps state" in text


def test_a_loop_that_carries_real_values_is_refused_by_name(tmp_path: Path) -> None:
    leaky = node("LI", tau=np.full(2, 1e-3), r=np.ones(2), v_leak=np.zeros(2))
    nodes = {"input": INPUT, "lif": lif((2,)), "decoded": leaky, "output": OUTPUT}
    edges = [("input", "lif"), ("lif", "decoded"), ("decoded", "lif"), ("lif", "output")]
    text = refuse(tmp_path, nodes, edges)
    assert "'decoded' (LI)" in text
    assert "real values" in text
    assert "Affine" in text


def test_an_unconnected_or_ambiguous_subgraph_is_refused(tmp_path: Path) -> None:
    one = {"in": INPUT, "a": if_((2,)), "out": OUTPUT}
    inner = graph(one, [("in", "a"), ("a", "out")])
    outer = {"input": INPUT, "g": inner, "b": if_((2,)), "output": OUTPUT}
    text = refuse(tmp_path, outer, [("input", "b"), ("b", "output")])
    assert "'g.in' (Input)" in text
    two = graph(one | {"in2": INPUT}, [("in", "a"), ("in2", "a"), ("a", "out")])
    text = refuse(tmp_path, outer | {"g": two}, [("input", "g"), ("g", "output")])
    assert "does not say which" in text
    assert "g.in, g.in2" in text
    none = graph({"a": if_((2,)), "out": OUTPUT}, [("a", "out")])
    text = refuse(tmp_path, outer | {"g": none}, [("input", "g"), ("g", "output")])
    assert "no Input node" in text


def test_a_graph_without_any_entry_or_shape_is_refused(tmp_path: Path) -> None:
    ring = {"a": lif((2,)), "b": lif((2,))}
    assert "no input" in refuse(tmp_path, ring, [("a", "b"), ("b", "a")])
    assert "no output" in refuse(
        tmp_path, ring | {"input": INPUT}, [("input", "a"), ("a", "b"), ("b", "a")]
    )
    conv = {"conv": conv2d(np.ones((1, 2, 3, 3)))}
    assert "field 'input_shape'" in refuse(tmp_path, conv, [])
    assert "no nodes" in refuse(tmp_path, {}, [])
    shapeless = {"input": node("Input"), "lif": lif(), "output": node("Output")}
    text = refuse(tmp_path, shapeless, [("input", "lif"), ("lif", "output")])
    assert "'input' (Input), field 'shape'" in text


def test_one_name_for_a_flat_and_a_nested_node_is_refused(tmp_path: Path) -> None:
    inner = graph({"a": if_((2,))}, [])
    assert "same name" in refuse(tmp_path, {"g": inner, "g.a": if_((2,))}, [])


def test_recurrent_layers_of_spyx_are_refused_by_name(tmp_path: Path) -> None:
    neuron = lif_with(tau=np.full(2, 10.0), r=np.full(2, 0.9))
    nodes = {"in": node("Input", shape=np.array([2])), "lif": neuron,
             "w": node("Linear", weight=np.eye(2)), "out": node("Output")}  # fmt: skip
    edges = [("in", "w"), ("w", "lif"), ("lif", "w"), ("lif", "out")]
    with pytest.raises(UnsupportedError, match="Spyx writes recurrent layers") as caught:
        read(write(tmp_path / "spyx.nir", nodes, edges))
    assert "loops through lif, w" in str(caught.value)


def test_subtraction_and_a_reset_potential_exclude_each_other(tmp_path: Path) -> None:
    path = chain(tmp_path / "bad.nir", (2,), lif_with(v_reset=np.full(2, 0.1)))
    with pytest.raises(ModelError, match="field 'v_reset'"):
        read(path, NirOptions("nir", reset="subtract"))


def test_a_clamp_needs_one_threshold_per_population(tmp_path: Path) -> None:
    path = chain(tmp_path / "bad.nir", (2,), if_((2,)) | {"v_threshold": np.array([1.0, 2.0])})
    with pytest.raises(UnsupportedError, match="--dialect nir --reset subtract"):
        read(path, NirOptions("sinabs"))


BAD_OPTIONS = {
    "--dialect": {"dialect": "brian"}, "--dt": {"dt": -1.0}, "--reset": {"reset": "soft"},
    "--threshold": {"threshold": "=="}, "--loop-delay": {"loop_delay": "around"},
}  # fmt: skip


@pytest.mark.parametrize("flag", BAD_OPTIONS)
def test_a_bad_option_is_named(flag: str) -> None:
    with pytest.raises(OptionError, match=flag):
        NirOptions(**BAD_OPTIONS[flag])
