"""NIR files written by us: read back as the same network, or refused with the field's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.paths import require_data, shared_data
from support.real_nets import conv_net, dense_net, neuron, spikes

from snnc.compiler.exporters.nir import NirExport, NirExportOptions, export_nir
from snnc.compiler.frontends.nir import NirOptions, read
from snnc.ir.errors import ModelError, OptionError, OutputError, SnncError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import (
    Add,
    Bias,
    Delay,
    Index,
    Input,
    Linear,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Scale,
)
from snnc.ir.real_neuron import RealAdaptation
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense, Sparse
from snnc.simulators.compare import compare_runs
from snnc.simulators.reference.real import run_real

STRICT = {"comparator": ">"}


def returned(network: Network, path: Path, **options: Any) -> tuple[Network, NirExport]:
    """The network after a trip through a file, read without any option."""
    told = export_nir(network, path / "net.nir", NirExportOptions(**options))
    return read(path / "net.nir"), told


def same_spikes(network: Network, again: Network, steps: int = 20, seed: int = 0) -> int:
    """Check that both compute the same on random spikes; the number of spikes and values."""
    x = {n.name: spikes((2, steps, *n.shape), 0.4, seed) for n in network.of_type(Input)}
    left, right = run_real(network, x), run_real(again, x)
    found = compare_runs(left, right)
    assert len(found.layers) == len(left.outputs) + len(left.spikes)
    assert found.differing == 0, found.first
    return sum(int(c.sum()) for c in left.spike_counts.values())


def graph(*nodes: Any) -> Network:
    """A network of these nodes between an input (2, 4, 4) and an output of the last one."""
    return Network("net", (Input("in", (2, 4, 4), BIN), *nodes, Output("out", (nodes[-1].name,))))


FLAT = Index("flat", ("in",), (32,))
RNG = np.random.default_rng(3)


def matrix(name: str, source: str, out: int, inputs: int) -> Linear:
    random = np.random.default_rng(sum(name.encode()))
    return Linear(name, (source,), Dense(random.normal(0, 0.6, (out, inputs))))


def conv(name: str, source: str, kernel: Any, padding: Any = ((1, 1), (1, 1))) -> Linear:
    return Linear(name, (source,), Conv(kernel, (1, 1), padding, (1, 1)))


NETWORKS: dict[str, Network] = {
    "conv with bias": graph(
        conv("c", "in", RNG.normal(0, 1, (3, 2, 3, 3))),
        Bias("b", ("c",), RNG.normal(0, 1, (3, 1, 1))),
        neuron("n", "b", (3, 4, 4), **STRICT),
    ),
    "conv padded like 'same'": graph(
        conv("c", "in", RNG.normal(0, 1, (3, 2, 2, 2)), ((0, 1), (0, 1))),
        neuron("n", "c", (3, 4, 4), **STRICT),
    ),
    "sum pool and average pool": graph(
        Pool("p", ("in",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0))),
        Pool("q", ("p",), "sum", (2, 2), (1, 1), ((1, 1), (1, 1))),
        Scale("mean", ("q",), np.array(0.25)),
        neuron("n", "mean", (2, 3, 3), threshold=0.3, **STRICT),
    ),
    "a pool that others read too": graph(
        Pool("p", ("in",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0))),
        Scale("mean", ("p",), np.array(0.25)), neuron("m", "mean", (2, 2, 2), **STRICT),
        neuron("a", "p", (2, 2, 2), **STRICT), Add("sum", ("m", "a")),
        neuron("n", "sum", (2, 2, 2), **STRICT),
    ),
    "skip connection": graph(
        FLAT, matrix("w", "flat", 8, 32), neuron("a", "w", (8,), **STRICT),
        matrix("u", "a", 8, 8), Add("sum", ("u", "a")), neuron("n", "sum", (8,), **STRICT),
    ),
    "a bias of its own": graph(
        neuron("a", "in", (2, 4, 4), **STRICT),
        Bias("b", ("a",), np.array([0.5, -0.25]).reshape(2, 1, 1)),
        neuron("m", "b", (2, 4, 4), decay=0.5, **STRICT), Index("f", ("m",), (32,)),
        Bias("c", ("f",), np.linspace(-0.5, 0.5, 32)), neuron("n", "c", (32,), **STRICT),
    ),
    "a bias shared with the bare weights": graph(
        FLAT, matrix("w", "flat", 4, 32), Bias("b", ("w",), np.full(4, 0.5)),
        neuron("a", "b", (4,), **STRICT), neuron("m", "w", (4,), **STRICT),
        Add("sum", ("a", "m")), neuron("n", "sum", (4,), **STRICT),
    ),
    "joined, sliced and reordered tensors": graph(
        neuron("a", "in", (2, 4, 4), **STRICT), FLAT,
        Index("joined", ("a", "flat"), (9,), np.array([0, 40, 63, -1, 31, 32, 5, 5, 1])),
        Index("sliced", ("joined",), (4,), np.array([8, 0, 2, 3])),
        neuron("n", "sliced", (4,), **STRICT),
    ),
    "a delay": graph(FLAT, Delay("old", ("flat",), 3), neuron("n", "old", (32,), **STRICT)),
    "a memory-less threshold": graph(
        FLAT, neuron("n", "flat", (32,), decay=0.0, reset="none", threshold=0.5, **STRICT)
    ),
    "a readout of potentials": graph(
        FLAT, matrix("w", "flat", 4, 32),
        neuron("n", "w", (4,), decay=0.9, threshold=None, reset="none"),
    ),
    "an integrating readout": graph(
        FLAT, neuron("n", "flat", (32,), gain=0.125, threshold=None, reset="none")
    ),
    "a readout with a current": graph(
        FLAT, neuron("n", "flat", (32,), decay=0.9, current_decay=0.8, current_gain=0.3,
                     threshold=None, reset="none"),
    ),
    "a grouped convolution": graph(
        Linear("c", ("in",), Conv(
            RNG.normal(0, 1, (4, 1, 3, 3)), (1, 1), ((1, 1),) * 2, (1, 1), 2)),
        neuron("n", "c", (4, 4, 4), **STRICT),
    ),
    "names with slashes": graph(
        Index("a/flat", ("in",), (32,)), neuron("n", "a/flat", (32,), **STRICT)
    ),
}  # fmt: skip


def recurrent(place: str, bias: float = 0.25) -> Network:
    """A layer that feeds itself, its delay before or after the recurrent weights."""
    nodes: list[Any] = [FLAT, matrix("w", "flat", 6, 32)]
    inner = [matrix("rec", "old" if place == "before" else "n", 6, 6),
             Bias("rec_bias", ("rec",), np.full(6, bias))]  # fmt: skip
    old = Delay("old", ("n",) if place == "before" else ("rec_bias",), 1)
    last = "rec_bias" if place == "before" else "old"
    return graph(
        *nodes,
        *inner,
        old,
        Add("sum", ("w", last)),
        neuron("n", "sum", (6,), decay=0.875, **STRICT),
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_read_back_with_the_same_spikes(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    again, told = returned(network, tmp_path)
    assert told.approximations == ()
    spiked = same_spikes(network, again)
    assert spiked > 20 or "readout" in name


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_loop_keeps_its_delay_where_it_is_without_a_delay_node(
    place: str, tmp_path: Path
) -> None:
    network = recurrent(place)
    again, told = returned(network, tmp_path)
    assert same_spikes(network, again) > 20
    assert not any("Delay" in note for note in told.notes)
    assert told.reader == {"before": "nir", "after": "norse"}[place]
    assert "loop_delay" not in told.read_with  # the reader does so by itself
    other = read(
        tmp_path / "net.nir", NirOptions(loop_delay="after" if place == "before" else "before")
    )
    x = spikes((2, 20, 2, 4, 4), 0.1)
    assert compare_runs(run_real(network, {"in": x}), run_real(other, {"in": x})).differing


def test_loops_that_no_reader_places_so_get_delay_nodes(tmp_path: Path) -> None:
    before, after = recurrent("before"), recurrent("after")
    second = [n for n in after.nodes if n.name not in ("in", "flat", "out")]
    renamed = [_renamed(n, "2") for n in second]
    nodes = [n for n in before.nodes if n.name != "out"]
    network = Network("net", (*nodes, *renamed, Output("out", ("n",)), Output("out2", ("n2",))))
    again, told = returned(network, tmp_path)
    assert any("Delay nodes" in note for note in told.notes)
    assert same_spikes(network, again) > 20


def _renamed(node: Any, suffix: str) -> Any:
    inputs = tuple(s if s == "flat" else s + suffix for s in node.inputs)
    return replace(node, name=node.name + suffix, inputs=inputs)


DECAYS = st.one_of(
    st.sampled_from([0.0, 0.25, 0.5, 0.875, 0.9, 0.95, 1.0]),
    st.floats(0.02, 0.999),
    st.floats(0.03125, 0.96875, width=32),
)


@st.composite
def neurons(draw: Any) -> dict[str, Any]:
    """Fields of a population that some reader understands."""
    decay = draw(DECAYS)
    fields: dict[str, Any] = {
        "decay": decay,
        "gain": draw(st.sampled_from([1.0, 0.5, 1 - decay or 1.0, 0.3])),
        "threshold": draw(st.sampled_from([1.0, 0.5, 0.7, 2.25])),
        "comparator": draw(st.sampled_from([">", ">="])),
        "reset": draw(st.sampled_from(["zero", "value", "subtract"])),
    }
    if decay < 1:
        fields["offset"] = draw(st.sampled_from([0.0, 0.125, -0.1]))
        if draw(st.booleans()):
            fields |= {"current_decay": draw(DECAYS.filter(lambda d: d < 1)),
                       "current_gain": draw(st.sampled_from([1.0, 0.25]))}  # fmt: skip
    if fields["reset"] == "value":
        fields["reset_value"] = draw(st.sampled_from([0.25, -0.5]))
    return fields


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(fields=neurons(), seed=st.integers(0, 3))
def test_any_euler_neuron_survives(fields: Any, seed: int, tmp_path: Path) -> None:
    network = dense_net(np.random.default_rng(seed).normal(0, 0.6, (4, 5)), **fields)
    again, told = returned(network, tmp_path)
    assert told.approximations == ()
    assert all("rounded by" in n and float(n.split()[-1]) < 1e-13 for n in told.notes), told.notes
    x = spikes((2, 30, 5), 0.5, seed)
    assert compare_runs(run_real(network, {"in": x}), run_real(again, {"in": x})).differing == 0


RULES: dict[str, tuple[dict[str, Any], str]] = {
    "snntorch subtract": ({"comparator": ">", "reset": "subtract", "reset_timing":
                           "snntorch_subtract", "decay": 0.9}, "snntorch"),
    "spikingjelly": ({"decay": 0.5, "comparator": ">="}, "spikingjelly"),
    "sinabs": ({"reset": "subtract", "multi_spike": 0, "minimum": -1.0}, "sinabs"),
    "sinabs leaky": ({"reset": "subtract", "multi_spike": 0, "minimum": -1.0,
                      "decay": np.exp(-0.25), "gain": 1 - np.exp(-0.25)}, "sinabs"),
    "rockpool": ({"reset": "subtract", "multi_spike": 0, "decay": np.exp(-0.05),
                  "current_decay": np.exp(-0.1), "current_gain": np.exp(-0.1)}, "rockpool"),
    "soft reset": ({"reset": "subtract", "decay": 0.75, "comparator": ">"}, "nir"),
    "soft reset at the threshold": ({"reset": "subtract", "decay": 0.75}, "nir"),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_the_reader_whose_rules_the_network_has_is_found(rule: str, tmp_path: Path) -> None:
    fields, reader = RULES[rule]
    network = dense_net(np.random.default_rng(5).normal(0.3, 1.5, (6, 5)), **fields)
    again, told = returned(network, tmp_path)
    assert told.reader == reader
    assert same_spikes(network, again, 40) > 15


INEXPRESSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "ladder": ({"multi_spike": 2, "ladder": np.array([1.0, 1.5])}, "n.multi_spike"),
    "rounding": ({"multi_spike": 4, "rounding": "half_even"}, "n.multi_spike"),
    "rounding of one spike": ({"rounding": "half_even"}, "n.rounding"),
    "negative spikes": ({"negative_spikes": 1}, "n.negative_spikes"),
    "counts up to 3": ({"reset": "subtract", "multi_spike": 3}, "n.multi_spike"),
    "adaptation": ({"adaptation": RealAdaptation(*(np.array(v) for v in (0.9, 1.0, 0.5)))},
                   "n.adaptation"),
    "refractory": ({"refractory": 2}, "n.refractory"),
    "initial": ({"initial": 0.5}, "n.initial"),
    "clamp": ({"minimum": -0.25}, "n.minimum"),
    "no reset": ({"reset": "none"}, "n.reset"),
    "multiplying reset": ({"reset": "multiply", "reset_factors": (0.5, 1.0)}, "n.reset"),
    "late reset": ({"comparator": ">", "reset_timing": "next_step"}, "n.reset_timing"),
}  # fmt: skip


@pytest.mark.parametrize("rule", INEXPRESSIBLE)
def test_what_nir_cannot_say_is_refused_by_name_or_approximated_on_request(
    rule: str, tmp_path: Path
) -> None:
    fields, where = INEXPRESSIBLE[rule]
    network = dense_net(np.eye(3), decay=0.5, **fields)
    with pytest.raises(UnsupportedError, match="cannot say this") as refusal:
        export_nir(network, tmp_path / "net.nir")
    assert refusal.value.where == where
    assert not (tmp_path / "net.nir").exists()
    leave = refusal.value.remedy.rpartition("approximate ")[2].split(", ")
    again, told = returned(network, tmp_path, approximate=tuple(leave))
    assert {text.split(" ")[0] for text in told.approximations} == set(leave)
    assert any("reads as" in text for text in told.approximations)
    run_real(again, {"in": spikes((1, 5, 3))})


REFUSED: dict[str, tuple[Any, str, str]] = {
    "Mul": (Mul("m", ("in", "in")), "m", "Mul"),
    "MatMul": (MatMul("m", ("in", "in")), "m", "MatMul"),
    "Reduce": (Reduce("m", ("in",), "sum", (1,)), "m", "Reduce (sum)"),
    "max pool": (Pool("m", ("in",), "max", (2, 2), (2, 2), ((0, 0),) * 2), "m", "max over 2 axes"),
    "lopsided pool": (Pool("m", ("in",), "sum", (2, 2), (2, 2), ((0, 1),) * 2), "m", "padding"),
    "lopsided conv": (conv("m", "in", np.ones((1, 2, 3, 3)), ((0, 1), (0, 1))), "m", "padding"),
    "sparse": (Linear("m", ("in",), Sparse(np.array([0, 1]), np.array([3]), np.array([1.0]), 32,
                                           (1,))), "m", "1 weights"),
    "reshape": (Index("m", ("in",), (4, 8)), "m", "(2, 4, 4) to (4, 8)"),
    "transpose": (Index("m", ("in",), (4, 4, 2), np.arange(32)), "m", "(4, 4, 2)"),
    "sum with itself": (Add("m", ("in", "in")), "out", "sum of in, in"),
    "bias per element": (Bias("m", ("in",), np.arange(32).reshape(2, 4, 4)), "m", "bias over"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_operator_that_nir_lacks_is_refused_by_name(name: str, tmp_path: Path) -> None:
    node, where, found = REFUSED[name]
    with pytest.raises(UnsupportedError) as refusal:
        export_nir(graph(node), tmp_path / "net.nir")
    assert refusal.value.where == where
    assert found in refusal.value.found
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fields", "where"),
    [({"decay": 1.5}, "n.decay"), ({"decay": -0.1}, "n.decay"), ({"offset": 0.5}, "n.offset"),
     ({"decay": 0.5, "current_decay": 1.0, "current_gain": 1.0}, "n.current_decay")],
)  # fmt: skip
def test_a_membrane_that_nir_lacks_is_refused(fields: Any, where: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as refusal:
        export_nir(dense_net(np.eye(2), **fields), tmp_path / "net.nir")
    assert refusal.value.where == where


def test_a_reader_with_a_gain_of_its_own_gets_scaled_potentials(tmp_path: Path) -> None:
    network = dense_net(np.random.default_rng(2).normal(0, 1, (4, 5)), decay=0.75, **STRICT)
    again, told = returned(network, tmp_path, reader="norse")
    assert "potentials of n are in other units" in told.notes[0]
    assert float(again.node["n"].gain) == 0.25  # type: ignore[union-attr]
    assert same_spikes(network, again, 40) > 20


def test_float32_is_said_to_round(tmp_path: Path) -> None:
    network = dense_net(np.eye(3), decay=0.9, **STRICT)
    exact, told = returned(network, tmp_path)
    assert told.notes == ()
    assert float(exact.node["n"].decay) == 0.9  # type: ignore[union-attr]
    short, told = returned(network, tmp_path, precision="float32")
    assert "decay of n rounded by" in told.notes[0]
    assert float(short.node["n"].decay) == pytest.approx(0.9)  # type: ignore[union-attr]


def test_equal_networks_give_equal_bytes(tmp_path: Path) -> None:
    kernel = np.random.default_rng(1).normal(size=(2, 1, 3, 3))
    for name in ("a", "b"):
        export_nir(conv_net(kernel, (5, 5)), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_options_given_at_reading_win_over_what_the_file_says(tmp_path: Path) -> None:
    export_nir(dense_net(np.eye(2), decay=0.5, **STRICT), tmp_path / "net.nir")
    said = read(tmp_path / "net.nir").assumptions
    assert "snnc's exporter" in said["reading"]
    assert read(tmp_path / "net.nir", NirOptions(dt=2e-5)).assumptions["dt"] == "2e-05 (given)"
    other = read(tmp_path / "net.nir", NirOptions("lava")).assumptions
    assert other["dialect"] == "lava (given)"
    assert "reading" not in other


def test_a_damaged_account_of_the_reading_is_refused(tmp_path: Path) -> None:
    import h5py

    export_nir(dense_net(np.eye(2), **STRICT), tmp_path / "net.nir")
    with h5py.File(tmp_path / "net.nir", "a") as root:
        del root["node/metadata/snnc_dt"]
        root["node/metadata/snnc_dt"] = "soon"
    with pytest.raises(ModelError, match="own account of how to read it"):
        read(tmp_path / "net.nir")
    read(tmp_path / "net.nir", NirOptions("nir"))


@pytest.mark.parametrize(
    ("options", "where"),
    [({"reader": "brian"}, "reader"), ({"precision": "half"}, "precision"),
     ({"approximate": ("weights",)}, "approximate"), ({"dt": -1.0}, "dt")],
)  # fmt: skip
def test_a_bad_option_is_named(options: Any, where: str) -> None:
    with pytest.raises(OptionError) as refusal:
        NirExportOptions(**options)
    assert refusal.value.where == where


def test_an_unwritable_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        export_nir(dense_net(np.eye(2)), tmp_path / "absent" / "net.nir")


def _recorded() -> list[str]:
    base = shared_data()
    return [] if base is None else sorted(
        str(p.relative_to(base / "nir")) for p in (base / "nir").rglob("*.nir")
    )  # fmt: skip


@pytest.mark.parametrize("name", _recorded() or ["cnn_sinabs.nir"])
def test_every_published_file_survives_the_trip(name: str, tmp_path: Path) -> None:
    path = require_data("nir", name)
    try:
        network = read(path)
    except SnncError:
        pytest.skip("the file itself is refused; see test_nir_frameworks")
    again, told = returned(network, tmp_path)
    assert told.approximations == ()
    assert not any("rounded" in note for note in told.notes)
    same_spikes(network, again, 4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_nir_package_reads_it_with_its_type_check(name: str, tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    told = export_nir(NETWORKS[name], tmp_path / "net.nir")
    checked = not any("type_check" in note for note in told.notes)
    assert checked == (name != "a grouped convolution")
    found = nir.read(tmp_path / "net.nir", type_check=checked)
    nir.write(tmp_path / "again.nir", found)
    again = read(tmp_path / "again.nir")
    same_spikes(NETWORKS[name], again)
