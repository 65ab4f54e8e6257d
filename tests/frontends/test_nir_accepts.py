"""Everything a NIR file may contain, in files written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nir_files import affine, chain, conv2d, graph, if_, lif, node, write

from snnc.compiler.frontends.nir import NirOptions, read
from snnc.compiler.options import CompileOptions
from snnc.compiler.reading import read_finished
from snnc.ir.network import Network
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.reference.real import run_real

NIR = NirOptions("nir")


def outputs(network: Network, **inputs: Any) -> dict[str, Any]:
    """Outputs of one sample: by name, [steps, ...]."""
    data = {name: np.asarray(x, float)[None] for name, x in inputs.items()}
    return {name: y[0] for name, y in run_real(network, data).outputs.items()}


def through(path: Path, x: Any, options: NirOptions = NIR) -> Any:
    """What a chain makes of a one-step input."""
    return outputs(read(path, options), input=np.asarray(x, float)[None])["output"][0]


def torch_conv(x: Any, w: Any, stride: Any, pad: Any, dilation: Any, groups: int) -> Any:
    """Cross-correlation by its definition, every index written out."""
    x = np.pad(x, [(0, 0), *((p, p) for p in pad)])
    size = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[1:], w.shape[2:], stride, dilation, strict=True)
    ]
    y = np.zeros((w.shape[0], *size))
    per_group = w.shape[0] // groups
    for o, i, j in np.ndindex(*y.shape):
        for c, a, b in np.ndindex(*w.shape[1:]):
            channel = (o // per_group) * w.shape[1] + c
            row, column = i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]
            y[o, i, j] += w[o, c, a, b] * x[channel, row, column]
    return y


CONVOLUTIONS = {
    "non-square kernel": ((2, 8, 6), (4, 2, 5, 3), {}),
    "stride 2 by 1": ((2, 8, 6), (4, 2, 3, 3), {"stride": [2, 1]}),
    "padding 1 by 2": ((2, 7, 6), (4, 2, 3, 3), {"padding": [1, 2]}),
    "dilation": ((1, 9, 9), (2, 1, 3, 3), {"dilation": 2}),
    "two groups": ((4, 5, 5), (6, 2, 3, 3), {"groups": 2}),
    "all at once": ((4, 11, 9), (6, 2, 2, 3), {"stride": 2, "padding": 1, "dilation": [2, 1],
                                               "groups": 2}),
}  # fmt: skip


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv2d_has_the_shape_and_values_of_torch(case: str, tmp_path: Path) -> None:
    shape, kernel, settings = CONVOLUTIONS[case]
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=shape), rng.normal(size=kernel)
    path = chain(tmp_path / "net.nir", shape, conv2d(w, **settings))

    def pair(label: str, default: int) -> Any:
        return np.broadcast_to(settings.get(label, default), (2,))

    want = torch_conv(
        x, w, pair("stride", 1), pair("padding", 0), pair("dilation", 1), settings.get("groups", 1)
    )
    np.testing.assert_allclose(through(path, x), want, atol=1e-12)


@pytest.mark.parametrize("kernel", [(3, 3), (4, 2), (1, 5)])
def test_padding_same_keeps_the_size_and_valid_adds_nothing(kernel: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(1, 6, 7)), rng.normal(size=(1, 1, *kernel))
    same = through(chain(tmp_path / "a.nir", x.shape, conv2d(w, padding="same")), x)
    valid = through(chain(tmp_path / "b.nir", x.shape, conv2d(w, padding="valid")), x)
    full = torch_conv(x, w, (1, 1), [k - 1 for k in kernel], (1, 1), 1)
    first = [k - 1 - (k - 1) // 2 for k in kernel]  # torch pads the smaller half in front
    np.testing.assert_allclose(
        same, full[:, first[0] : first[0] + 6, first[1] : first[1] + 7], atol=1e-12
    )
    assert valid.shape == (1, 7 - kernel[0], 8 - kernel[1])


def test_conv1d_with_an_integer_input_shape(tmp_path: Path) -> None:
    w = np.arange(12.0).reshape(2, 2, 3)
    conv = node("Conv1d", weight=w, bias=np.array([1.0, -1.0]), stride=2, padding=1, dilation=1,
                groups=1, input_shape=5)  # fmt: skip
    x = np.arange(10.0).reshape(2, 5)
    want = torch_conv(x[:, None], w[:, :, None], (1, 2), (0, 1), (1, 1), 1)[:, 0]
    got = through(chain(tmp_path / "net.nir", (2, 5), conv), x)
    np.testing.assert_allclose(got, want + np.array([[1.0], [-1.0]]))


def test_pools_sum_and_average_with_scalar_or_vector_fields(tmp_path: Path) -> None:
    x = np.arange(32.0).reshape(2, 4, 4)
    pooled = x.reshape(2, 2, 2, 2, 2).sum((2, 4))
    total = node("SumPool2d", kernel_size=[2, 2], stride=2, padding=[0, 0])
    mean = node("AvgPool2d", kernel_size=2, stride=[2, 2], padding=0)
    np.testing.assert_allclose(through(chain(tmp_path / "s.nir", x.shape, total), x), pooled)
    np.testing.assert_allclose(through(chain(tmp_path / "m.nir", x.shape, mean), x), pooled / 4)


def test_affine_linear_scale_and_flatten(tmp_path: Path) -> None:
    x = np.arange(6.0).reshape(2, 3)
    w = np.arange(12.0).reshape(2, 6)
    nodes = (
        node("Flatten", start_dim=0, end_dim=-1, input_type=np.array([2, 3])),
        affine(w, [1, 2]),
        node("Scale", scale=np.array([2.0, 3.0])),
        node("Linear", weight=np.eye(2)),
    )
    got = through(chain(tmp_path / "net.nir", x.shape, *nodes), x)
    np.testing.assert_allclose(got, (w @ x.reshape(-1) + [1, 2]) * [2, 3])


def test_an_affine_with_leading_axes_is_one_map_per_position(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    w, b, x = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4)), rng.normal(size=(3, 5))
    got = through(chain(tmp_path / "net.nir", (3, 5), affine(w, b)), x)
    np.testing.assert_allclose(got, np.einsum("boi,bi->bo", w, x) + b)


def test_a_delay_is_rounded_to_steps_and_may_differ_per_element(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (3,), node("Delay", delay=np.array([0.0, 1e-4, 3e-4])))
    x = np.zeros((5, 3))
    x[0] = 1
    got = outputs(read(path, NIR), input=x)["output"]
    assert [int(np.argmax(got[:, i])) for i in range(3)] == [0, 1, 3]
    assert got.sum() == 3


def test_threshold_is_stateless_and_strict(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (3,), node("Threshold", threshold=np.full(3, 0.5)))
    got = outputs(read(path, NirOptions("sinabs")), input=[[0.5, 0.6, 0.1], [0.4, 0.0, 9.0]])
    np.testing.assert_array_equal(got["output"], [[0, 1, 0], [0, 0, 1]])


NEURONS = {
    "I": node("I", r=np.full(2, 2e4)),
    "IF": node("IF", r=np.full(2, 2e4), v_threshold=np.full(2, 1.5), v_reset=np.full(2, 0.25)),
    "LI": node("LI", tau=np.full(2, 1e-3), r=np.full(2, 4.0), v_leak=np.full(2, 0.5)),
    "LIF": node("LIF", tau=np.full(2, 1e-3), r=np.full(2, 9.0), v_leak=np.full(2, 0.1),
                v_threshold=np.full(2, 1.0)),
    "CubaLI": node("CubaLI", tau_syn=np.full(2, 5e-4), tau_mem=np.full(2, 1e-3),
                   r=np.full(2, 3.0), v_leak=np.zeros(2), w_in=np.full(2, 2.0)),
    "CubaLIF": node("CubaLIF", tau_syn=np.full(2, 5e-4), tau_mem=np.full(2, 1e-3),
                    r=np.full(2, 9.0), v_leak=np.zeros(2), v_threshold=np.full(2, 1.0)),
}  # fmt: skip


def euler(spec: dict[str, Any], x: Any, dt: float = 1e-4) -> Any:
    """NIR's differential equations, forward Euler, written independently of the frontend."""
    p = {k: v for k, v in spec.items() if k != "type"}
    v, current, rows = np.zeros(2), np.zeros(2), []
    for drive in x:
        if "tau_syn" in p:
            current = current + dt / p["tau_syn"] * (-current + p.get("w_in", 1.0) * drive)
            drive = current
        tau = p.get("tau", p.get("tau_mem"))
        leak = 0 if tau is None else (p["v_leak"] - v) / tau
        v = v + dt * (leak + p["r"] * drive / (1 if tau is None else tau))
        if "v_threshold" not in p:
            rows.append(v)
            continue
        fired = v > p["v_threshold"]
        v = np.where(fired, p.get("v_reset", 0.0), v)
        rows.append(fired.astype(float))
    return np.array(rows)


@pytest.mark.parametrize("kind", NEURONS)
def test_every_neuron_follows_its_differential_equation(kind: str, tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (2,), NEURONS[kind])
    x = np.random.default_rng(4).uniform(0, 2, size=(60, 2))
    got = outputs(read(path, NIR), input=x)["output"]
    want = euler(NEURONS[kind], x)
    np.testing.assert_allclose(got, want, atol=1e-9)
    assert got.any()


def test_scalar_and_integer_parameters_are_spread_over_the_population(tmp_path: Path) -> None:
    spec = node(
        "LIF", tau=np.int64(4), r=np.int64(1), v_leak=np.float32(0), v_threshold=np.int64(1)
    )
    network = read(chain(tmp_path / "net.nir", (3, 2, 2), spec))
    (neuron,) = network.of_type(RealNeuron)
    assert neuron.shape == (3, 2, 2)
    assert float(neuron.decay) == 0.75
    assert network.assumptions["dt"].startswith("1 (time constants")


def test_parameters_with_a_batch_axis_are_trimmed_and_said(tmp_path: Path) -> None:
    spec = if_((1, 2, 3, 3))
    spec["v_threshold"] = np.arange(1.0, 19).reshape(1, 2, 3, 3)
    network = read(chain(tmp_path / "net.nir", (1, 2, 3, 3), spec, output=(1, 2, 3, 3)), NIR)
    assert network.of_type(RealNeuron)[0].shape == (1, 2, 3, 3)
    path = chain(tmp_path / "b.nir", (1, 2, 5, 5), conv2d(np.ones((2, 2, 3, 3))), spec)
    network = read(path, NIR)
    assert network.of_type(RealNeuron)[0].shape == (2, 3, 3)
    assert "n1.v_threshold" in network.assumptions["leading axes of 1 ignored"]
    assert (
        "(1, 2, 5, 5) read as (2, 5, 5)" in network.assumptions["leading axes of the input ignored"]
    )


def test_a_time_axis_in_the_input_shape_is_dropped_and_said(tmp_path: Path) -> None:
    network = read(chain(tmp_path / "net.nir", (256, 4), affine(np.eye(4), np.zeros(4)), lif((4,))))
    assert network.of_type(Input)[0].shape == (4,)
    assert "(256, 4) read as (4,)" in network.assumptions["leading axes of the input ignored"]
    network = read(chain(tmp_path / "one.nir", (1000,), affine([[1]], [0]), lif((1,))))
    assert network.of_type(Input)[0].shape == (1,)


def test_a_flatten_that_counted_a_batch_axis_is_shifted_and_said(tmp_path: Path) -> None:
    flatten = node("Flatten", start_dim=1, end_dim=-1)
    path = chain(tmp_path / "net.nir", (2, 3, 3), flatten, affine(np.ones((4, 18)), np.zeros(4)))
    network = read(path, NIR)
    assert "n0" in network.assumptions["Flatten axes shifted"]
    keep = chain(tmp_path / "keep.nir", (2, 3, 3), flatten, if_((2, 9)))
    assert "Flatten axes shifted" not in read(keep, NIR).assumptions


def test_old_spyx_weights_need_and_take_transpose_linear(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (4,), node("Linear", weight=np.ones((4, 3))), lif((3,)))
    network = read(path, NirOptions(transpose_linear=True))
    assert network.shapes["n0"] == (3,)


RECURRENT = np.array([[0.0, 2.0], [0.0, 0.0]])
FLAT = {
    "input": node("Input", shape=np.array([2])),
    "l.lif": lif((2,)),
    "l.w_rec": affine(RECURRENT, [0.6, 0.0]),
    "output": node("Output", shape=np.array([2])),
}
FLAT_EDGES = [("input", "l.lif"), ("l.lif", "l.w_rec"), ("l.w_rec", "l.lif"), ("l.lif", "output")]


def nested(tmp_path: Path) -> Path:
    """The same recurrence as a nested graph."""
    inner = graph(
        {
            "in": node("Input", shape=np.array([2])),
            "lif": FLAT["l.lif"],
            "w_rec": FLAT["l.w_rec"],
            "out": node("Output", shape=np.array([2])),
        },
        [("in", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "out")],
    )
    ends = {"input": FLAT["input"], "l": inner, "output": FLAT["output"]}
    return write(tmp_path / "nested.nir", ends, [("input", "l"), ("l", "output")])


@pytest.mark.parametrize("place", ["before", "after"])
def test_nested_and_flattened_recurrence_are_the_same_network(place: Any, tmp_path: Path) -> None:
    options = NirOptions("nir", loop_delay=place)
    flat = read(write(tmp_path / "flat.nir", FLAT, FLAT_EDGES), options)
    inner = read(nested(tmp_path), options)
    x = np.random.default_rng(5).uniform(0, 1, size=(40, 2))
    got = outputs(flat, input=x)["output"]
    np.testing.assert_array_equal(got, outputs(inner, input=x)["output"])
    assert got.any()
    assert len(flat.of_type(Delay)) == len(inner.of_type(Delay)) == 1


def test_loop_delay_decides_whether_the_recurrent_bias_acts_at_step_0(tmp_path: Path) -> None:
    path = write(tmp_path / "flat.nir", FLAT, FLAT_EDGES)
    before, after = (read(path, NirOptions("nir", loop_delay=p)) for p in ("before", "after"))
    assert before.of_type(Delay)[0].inputs == ("l.lif",)
    assert after.of_type(Delay)[0].inputs == ("l.w_rec.bias",)
    x = np.full((1, 2), 0.5)
    assert outputs(before, input=x)["output"][0].tolist() == [1, 0]
    assert outputs(after, input=x)["output"][0].tolist() == [0, 0]


def test_a_loop_over_two_layers_has_one_delay_on_the_way_back(tmp_path: Path) -> None:
    nodes = {
        "input": node("Input", shape=np.array([2])),
        "a": lif((2,)), "b": lif((2,)),
        "forth": affine(np.eye(2), [0, 0]), "back": affine(np.eye(2), [0, 0]),
        "output": node("Output", shape=np.array([2])),
    }  # fmt: skip
    edges = [("input", "a"), ("a", "forth"), ("forth", "b"), ("b", "back"), ("back", "a"),
             ("b", "output")]  # fmt: skip
    network = read(write(tmp_path / "net.nir", nodes, edges))
    assert [d.inputs for d in network.of_type(Delay)] == [("b",)]
    after = read(tmp_path / "net.nir", NirOptions(loop_delay="after"))
    assert [d.inputs for d in after.of_type(Delay)] == [("back",)]


def test_a_population_may_feed_itself(tmp_path: Path) -> None:
    nodes = {"input": node("Input", shape=np.array([1])), "a": if_((1,)),
             "output": node("Output", shape=np.array([1]))}  # fmt: skip
    network = read(
        write(tmp_path / "net.nir", nodes, [("input", "a"), ("a", "a"), ("a", "output")]), NIR
    )
    x = np.zeros((5, 1))
    x[0] = 1.5
    # 1.5 fires and resets; the spike returns as 1.0, which is not above the threshold.
    assert outputs(network, input=x)["output"][:, 0].tolist() == [1, 0, 0, 0, 0]


def test_a_loop_through_a_delay_node_gets_no_second_delay(tmp_path: Path) -> None:
    nodes = FLAT | {"wait": node("Delay", delay=np.full(2, 2e-4))}
    edges = [("input", "l.lif"), ("l.lif", "wait"), ("wait", "l.w_rec"), ("l.w_rec", "l.lif"),
             ("l.lif", "output")]  # fmt: skip
    network = read(write(tmp_path / "net.nir", nodes, edges), NIR)
    assert [(d.name, d.steps) for d in network.of_type(Delay)] == [("wait", 2)]


def test_several_inputs_are_summed_and_several_outputs_kept(tmp_path: Path) -> None:
    nodes = {
        "left": node("Input", shape=np.array([2])), "right": node("Input", shape=np.array([2])),
        "sum": if_((2,)),
        "o1": node("Output", shape=np.array([2])), "o2": node("Output", shape=np.array([2])),
    }  # fmt: skip
    edges = [("left", "sum"), ("right", "sum"), ("sum", "o1"), ("right", "o2")]
    network = read(write(tmp_path / "net.nir", nodes, edges), NIR)
    assert len(network.of_type(Add)) == 1
    got = outputs(network, left=[[1, 1]], right=[[1, 0]])
    assert got["o1"].tolist() == [[1, 0]]
    assert got["o2"].tolist() == [[1, 0]]


def test_missing_terminals_are_added_and_said(tmp_path: Path) -> None:
    nodes = {"fc": affine(np.eye(3), np.zeros(3)), "lif": lif((3,))}
    network = read(write(tmp_path / "net.nir", nodes, [("fc", "lif")]))
    assert [n.name for n in network.of_type(Input)] == ["input_fc"]
    assert [n.name for n in network.of_type(Output)] == ["output_lif"]
    assert "input_fc (3,)" in network.assumptions["missing Input node"]
    assert "output_lif" in network.assumptions["missing Output node"]


def test_a_missing_input_shape_is_taken_from_the_next_layer(tmp_path: Path) -> None:
    nodes = {
        "input": node("Input"),
        "conv": conv2d(np.ones((1, 2, 3, 3)), input_shape=[5, 6]),
        "output": node("Output"),
    }
    network = read(write(tmp_path / "net.nir", nodes, [("input", "conv"), ("conv", "output")]))
    assert network.of_type(Input)[0].shape == (2, 5, 6)
    assert "missing input shape" in network.assumptions


def test_a_convolution_without_input_shape_takes_it_from_the_edges(tmp_path: Path) -> None:
    network = read(chain(tmp_path / "net.nir", (2, 7, 9), conv2d(np.ones((3, 2, 3, 3)), stride=2)))
    assert network.shapes["n0"] == (3, 3, 4)


def test_duplicate_edges_count_once_and_are_said(tmp_path: Path) -> None:
    nodes = {"input": node("Input", shape=np.array([1])), "a": if_((1,)), "output": node("Output")}
    edges = [("input", "a"), ("input", "a"), ("a", "output")]
    network = read(write(tmp_path / "net.nir", nodes, edges), NIR)
    assert network.assumptions["duplicate edge ignored"] == "input -> a"
    assert not network.of_type(Add)


def test_a_zero_bias_leaves_no_node_behind(tmp_path: Path) -> None:
    network = read(chain(tmp_path / "net.nir", (2,), affine(np.eye(2), [0, 0])))
    assert [n.name for n in network.of_type(Linear)] == ["n0"]
    assert "n0.bias" not in network.node


def test_names_and_metadata_do_not_matter(tmp_path: Path) -> None:
    nodes = {"in put": node("Input", shape=np.array([1])), "µ.x": if_((1,)), "10": node("Output")}
    network = read(write(tmp_path / "net.h5", nodes, [("in put", "µ.x"), ("µ.x", "10")]), NIR)
    assert network.name == "net"
    assert set(network.node) == {"in put", "µ.x", "10"}


def test_the_frontend_is_found_by_content(tmp_path: Path) -> None:
    path = chain(tmp_path / "weights.bin", (1,), if_((1,)))
    assert read_finished(path, CompileOptions()).of_type(RealNeuron)


def test_reading_twice_gives_the_same_network(tmp_path: Path) -> None:
    path = write(tmp_path / "flat.nir", FLAT, FLAT_EDGES)
    first, second = read(path), read(path)
    assert [n.name for n in first.nodes] == [n.name for n in second.nodes]
    assert first.assumptions == second.assumptions
