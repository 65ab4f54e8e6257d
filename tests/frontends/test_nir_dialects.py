"""What each dialect makes of the same numbers, against its equations written out here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nir_files import affine, chain, conv2d, if_, lif, node, write

from snnc.compiler.frontends.nir import NirOptions, describe, read
from snnc.ir.network import Network
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.reference.real import run_real

DRIVE = np.random.default_rng(7).uniform(-0.5, 1.5, size=(50, 1))


def spikes(network: Network, x: Any = DRIVE) -> list[int]:
    """Output counts of a one-neuron chain."""
    result = run_real(network, {"input": np.asarray(x)[None]}).outputs["output"]
    return [int(value) for value in result[0, :, 0]]


def cuba(tau_syn: float, tau_mem: float, r: float) -> dict[str, Any]:
    """One CubaLIF neuron."""
    values = {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": r, "v_leak": 0.0, "v_threshold": 1.0}
    return node("CubaLIF", **{label: np.array([value]) for label, value in values.items()})


def test_rockpool_decays_exactly_with_the_new_input_inside(tmp_path: Path) -> None:
    dt, syn, mem = 1e-3, 5e-3, 2e-2
    path = chain(tmp_path / "net.nir", (1,), cuba(syn, mem, mem * np.exp(-dt / mem) / dt))
    network = read(path)
    assert network.assumptions["dialect"].startswith("rockpool (guessed: r = tau exp(-dt/tau)")
    c = v = 0.0
    want = []
    for x in DRIVE[:, 0]:
        c = (c + x) * np.exp(-dt / syn)
        v = v * np.exp(-dt / mem) + c
        n = max(np.floor(v), 0)
        v -= n
        want.append(int(n))
    assert spikes(network) == want
    assert max(want) > 1


def spyx_neuron(kind: str) -> dict[str, Any]:
    """One neuron as Spyx 1.0.0 writes it: tau = 1/(1 - beta), r = beta."""
    fields = {"tau": 4.0, "r": 0.75, "v_leak": 0.0, "v_threshold": 1.0}
    if kind == "CubaLIF":
        fields = {"tau_mem": 4.0, "tau_syn": 2.0, **{k: v for k, v in fields.items() if k != "tau"}}
    if kind == "IF":
        fields = {"r": 1.0, "v_threshold": 1.0}
    return node(kind, **{label: np.array([value]) for label, value in fields.items()})


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF", "IF"])
def test_spyx_fires_one_step_late(kind: str, tmp_path: Path) -> None:
    network = read(chain(tmp_path / "net.nir", (1,), spyx_neuron(kind)), NirOptions("spyx"))
    v = i = 0.0
    want = []
    for x in DRIVE[:, 0]:
        s = float(v > 1)
        if kind == "CubaLIF":
            i = 0.5 * i + x
            v = 0.75 * (v - s) + i
        else:
            v = (0.75 if kind == "LIF" else 1.0) * v + x - s
        want.append(int(s))
    assert spikes(network) == want
    assert sum(want) > 10
    assert "one step after" in network.assumptions["firing"]
    if kind != "IF":
        guessed = read(tmp_path / "net.nir").assumptions["dialect"]
        assert guessed == "spyx (guessed: r = 1 - 1/tau)"


@pytest.mark.parametrize("kind", ["LIF", "CuBaLIF", "IF"])
def test_spyx_itself_emits_these_spikes(kind: str, tmp_path: Path) -> None:
    spyx = pytest.importorskip("spyx.nn", reason="spyx is not installed", exc_type=ImportError)
    exchange = pytest.importorskip("spyx.nir", exc_type=ImportError)
    nir = pytest.importorskip("nir")
    import jax.numpy as jnp
    from flax import nnx

    random = np.random.default_rng(0)
    dense = nnx.Linear(4, 6, rngs=nnx.Rngs(0))
    dense.kernel[...] = jnp.array(random.integers(-8, 17, (4, 6)) / 16)
    dense.bias[...] = jnp.array(random.integers(-4, 5, 6) / 16)
    neuron = getattr(spyx, kind)((6,), **({} if kind == "IF" else {"rngs": nnx.Rngs(0)}))
    for label in ("alpha", "beta"):
        if hasattr(neuron, label):
            getattr(neuron, label)[...] = jnp.full_like(getattr(neuron, label)[...], 0.5)
    model = spyx.Sequential(dense, neuron)
    x = (random.random((20, 3, 4)) < 0.5).astype(np.float32)
    theirs, _ = spyx.run(model, jnp.array(x))
    nir.write(tmp_path / "net.nir", exchange.to_nir(model, {"input": np.array([4])},
                                                    {"output": np.array([6])}))  # fmt: skip
    network = read(tmp_path / "net.nir", NirOptions("spyx"))
    ours = run_real(network, {"input": x.swapaxes(0, 1)}).outputs["output"]
    assert theirs.sum() > 30
    assert int(np.count_nonzero(ours.swapaxes(0, 1) != np.asarray(theirs))) == 0


def test_a_gain_that_the_dialect_does_not_use_is_noted(tmp_path: Path) -> None:
    dt, mem = 1e-3, 2e-2
    implied = mem * np.exp(-dt / mem) / dt
    options = NirOptions("rockpool", dt=dt)
    usual = read(chain(tmp_path / "net.nir", (1,), cuba(5e-3, mem, implied)), options)
    assert "input gain ignored" not in usual.assumptions
    spec = cuba(5e-3, mem, 2 * implied) | {"w_in": np.array([3.0])}
    other = read(chain(tmp_path / "net.nir", (1,), spec), options).assumptions
    assert "r of" in other["input gain ignored"]
    assert "w_in of" in other["input gain ignored"]
    lif_file = chain(tmp_path / "lif.nir", (1,), lif((1,), tau=5.0, r=2.0))
    assert (
        "sinabs has its own"
        in read(lif_file, NirOptions("sinabs")).assumptions["input gain ignored"]
    )


def test_sinabs_counts_spikes_and_clamps(tmp_path: Path) -> None:
    network = read(chain(tmp_path / "net.nir", (1,), if_((1,), 0.5)), NirOptions("sinabs"))
    v, want = 0.0, []
    for x in DRIVE[:, 0] - 0.3:
        v += x
        n = max(np.floor(v / 0.5), 0)
        v = max(v - n * 0.5, -0.5)
        want.append(int(n))
    assert spikes(network, DRIVE - 0.3) == want
    assert max(want) > 1


def test_the_unit_gain_of_if_is_r_1_or_r_1_over_dt(tmp_path: Path) -> None:
    for r, gain in ((1.0, 1.0), (1e4, 1.0), (5e3, 0.5)):
        spec = if_((1,)) | {"r": np.array([r])}
        (neuron,) = read(
            chain(tmp_path / "net.nir", (1,), spec), NirOptions("nir", dt=1e-4)
        ).of_type(RealNeuron)
        assert float(neuron.gain) == gain


def test_a_gain_rounded_by_float32_is_one_again(tmp_path: Path) -> None:
    spec = {label: np.float32(value) if label != "type" else value
            for label, value in lif((1,), tau=1 / 3e3, r=10 / 3).items()}  # fmt: skip
    (neuron,) = read(chain(tmp_path / "net.nir", (1,), spec)).of_type(RealNeuron)
    assert float(neuron.gain) == 1.0


GUESSES = {
    "snntorch": [lif((1,))],
    "sinabs": [conv2d(np.ones((1, 1, 1, 1))), if_(), node("SumPool2d", kernel_size=1, stride=1,
                                                        padding=0)],
    "spikingjelly": [if_((1,)) | {"r": np.array([1e3])}],
    "nir": [lif((1,), r=3.0)],
}  # fmt: skip


@pytest.mark.parametrize("dialect", GUESSES)
def test_the_guess_is_recorded_with_its_reason(dialect: str, tmp_path: Path) -> None:
    nodes = GUESSES[dialect]
    shape = (1, 2, 2) if dialect == "sinabs" else (1,)
    network = read(chain(tmp_path / "net.nir", shape, *nodes))
    assert network.assumptions["dialect"].startswith(f"{dialect} (guessed: ")
    for key in ("dt", "reset", "comparator", "multi-spike", "integration"):
        assert key in network.assumptions
    if dialect == "spikingjelly":
        assert network.assumptions["dt"] == "0.001 (from r = 1/dt)"


def test_options_win_over_the_dialect_and_are_recorded_as_given(tmp_path: Path) -> None:
    options = NirOptions("snntorch", dt=2e-4, reset="subtract", threshold=">=")
    network = read(chain(tmp_path / "net.nir", (1,), lif((1,))), options)
    (neuron,) = network.of_type(RealNeuron)
    assert float(neuron.decay) == pytest.approx(0.8)
    assert (neuron.comparator, neuron.reset) == (">=", "subtract")
    assert neuron.reset_timing == "snntorch_subtract"
    assert network.assumptions["dt"] == "0.0002 (given)"
    assert network.assumptions["reset"] == "subtract (given)"
    assert network.assumptions["comparator"] == "v >= threshold (given)"


def test_reset_to_zero_leaves_at_most_one_spike_per_step(tmp_path: Path) -> None:
    network = read(chain(tmp_path / "net.nir", (1,), if_((1,))), NirOptions("sinabs", reset="zero"))
    assert network.of_type(RealNeuron)[0].multi_spike == 1
    assert network.assumptions["multi-spike"] == "one spike per step"


def test_recurrent_neurons_of_snntorch_reset_one_step_late(tmp_path: Path) -> None:
    nodes = {
        "input": node("Input", shape=np.array([1])), "a": lif((1,)), "b": lif((1,)),
        "w": affine([[0.5]], [0.1]), "output": node("Output"),
    }  # fmt: skip
    edges = [("input", "a"), ("a", "w"), ("w", "a"), ("a", "b"), ("b", "output")]
    network = read(write(tmp_path / "net.nir", nodes, edges))
    timing = {n.name: n.reset_timing for n in network.of_type(RealNeuron)}
    assert timing == {"a": "next_step", "b": "now"}
    assert network.assumptions["reset timing in loops"] == "one step late"


def test_describe_shows_nodes_shapes_ranges_and_operators(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (2,), affine([[1, -2], [3, 4]], [0.5, 0]), lif((2,)))
    told = describe(path)
    assert told["schema"] == "snnc-nir-file/1"
    assert told["nir_version"] == "1.0.8"
    weight = next(n for n in told["nodes"] if n["name"] == "n0")
    assert weight["fields"]["weight"] == {
        "dtype": "float64", "shape": [2, 2], "min": -2.0, "max": 4.0,
        "value": [[1.0, -2.0], [3.0, 4.0]],
    }  # fmt: skip
    assert (weight["input_shape"], weight["output_shape"]) == ([2], [2])
    assert told["network"]["neurons"] == 2
    assert told["network"]["weights"] == 4
    assert [o["type"] for o in told["network"]["operators"]] == [
        "Input", "Linear", "Bias", "RealNeuron", "Output",
    ]  # fmt: skip
    assert told["error"] is None
    assert ["input", "n0"] in told["edges"]


def test_describe_goes_as_far_as_it_can_in_a_refused_model(tmp_path: Path) -> None:
    bad = lif((2,)) | {"tau": np.array([np.nan, 1.0])}
    told = describe(chain(tmp_path / "net.nir", (3,), affine(np.ones((2, 3)), [0, 0]), bad))
    assert told["network"] is None
    assert "field 'tau'" in told["error"]["where"]
    fields = next(n for n in told["nodes"] if n["name"] == "n1")["fields"]
    assert fields["tau"]["not_finite"] == 1
