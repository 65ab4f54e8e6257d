"""The networks of real frameworks, against the spikes those frameworks produced themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.nmnist import recordings
from support.paths import require_data

from snnc.compiler.frontends.nir import NirOptions, read
from snnc.ir.errors import ModelError, ModelFileError, SnncError
from snnc.ir.network import Network
from snnc.ir.nodes import Input, Linear
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.reference.real import RealState, run_real
from snnc.simulators.result import RunResult

SUBTRACT = NirOptions(reset="subtract")
# file, options under which it must equal its framework, what "auto" must guess.
EXPORTED: dict[str, tuple[NirOptions, str]] = {
    "sinabs_cnn": (NirOptions(), "sinabs"),
    "sj_cnn_avgpool": (NirOptions(), "spikingjelly"),
    "sj_cnn_if": (NirOptions(), "spikingjelly"),
    "sj_cnn_lif": (NirOptions(), "spikingjelly"),
    "sj_cnn_lif_decay": (NirOptions(), "spikingjelly"),
    "snntorch_cnn_avgpool": (NirOptions(), "snntorch"),
    "snntorch_cnn_nobias": (NirOptions(), "snntorch"),
    # The file of a network reset by subtraction is the same as of one reset to zero.
    "snntorch_cnn_subtract": (SUBTRACT, "snntorch"),
    "snntorch_cnn_zero": (NirOptions(), "snntorch"),
    "snntorch_rleaky_zero": (NirOptions(), "snntorch"),
}


def run_recorded(name: str, options: NirOptions, dtype: Any = np.float64) -> tuple[int, Any]:
    """Differing entries of the output raster, and the raster of the framework."""
    folder = require_data("nir", "exported")
    network = read(folder / f"{name}.nir", options)
    with np.load(folder / f"{name}_ref.npz") as recorded:
        x = np.swapaxes(recorded["input_spikes"], 0, 1)
        want = np.swapaxes(recorded["output_spikes"], 0, 1)
    (source,) = network.of_type(Input)
    result = run_real(network, {source.name: x}, dtype=dtype)
    return int(np.count_nonzero(result.outputs["output"] != want)), want


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_network_spikes_as_in_its_framework(name: str) -> None:
    options, _ = EXPORTED[name]
    differing, want = run_recorded(name, options)
    assert differing == 0
    assert want.sum() > 400


@pytest.mark.parametrize("name", EXPORTED)
def test_the_dialect_given_by_name_decides_as_the_guess(name: str) -> None:
    options, dialect = EXPORTED[name]
    path = require_data("nir", "exported", f"{name}.nir")
    guessed = dict(read(path, options).assumptions)
    named = NirOptions(dialect, reset=options.reset)  # type: ignore[arg-type]
    given = dict(read(path, named).assumptions)
    assert guessed.pop("dialect").startswith(f"{dialect} (guessed: ")
    assert given.pop("dialect") == f"{dialect} (given)"
    assert guessed == given


def test_plain_subtraction_is_not_what_snntorch_does() -> None:
    plain = NirOptions("nir", reset="subtract")
    assert run_recorded("snntorch_cnn_subtract", plain)[0] == 110


def test_the_membrane_trace_of_norse_is_reproduced() -> None:
    folder = require_data("nir", "lif")
    network = read(folder / "lif_norse.nir", NirOptions("nir", dt=1e-4))
    table = np.loadtxt(folder / "lif_norse.csv", delimiter=",")
    result = run_real(network, {"input": table[None, :, :1]})
    spikes = np.flatnonzero(result.outputs["output"][0, :, 0])
    assert spikes.tolist() == [460, 510, 710, 760]
    np.testing.assert_array_equal(spikes, np.flatnonzero(table[:, 2]))
    trace = voltage(network, table[:, 0])
    # The table has 7 significant digits of a float32 computation in another order of operations.
    assert np.abs(trace - table[:, 1]).max() < 5e-8


def voltage(network: Network, x: Any) -> Any:
    """Membrane potential of the only neuron, step by step."""
    (linear,), (neuron,) = network.of_type(Linear), network.of_type(RealNeuron)
    state = RealState(neuron, 1, np.float64)
    trace = []
    for value in x:
        state.step(np.full((1, 1), value) * linear.weights.values[0, 0])
        trace.append(state.v[0, 0])
    return np.array(trace)


def run_nmnist(reset: Any, samples: int) -> tuple[RunResult, Any]:
    """The published N-MNIST network on real recordings, in float32 as its reference was made."""
    data = require_data("nmnist", "nmnist_test100_bs2.zip").parent
    network = read(require_data("nir", "cnn_sinabs.nir"), NirOptions("nir", reset=reset))
    x = recordings(data / "nmnist_test100_bs2.zip", samples)
    result = run_real(network, {"input": x}, dtype=np.float32)
    with np.load(data / f"cnn_sinabs_ref_{reset}.npz") as reference:
        return result, dict(reference)


def check_nmnist(reset: str, samples: int) -> int:
    """Compare everything that was recorded; return the number of correct predictions."""
    result, reference = run_nmnist(reset, samples)
    raster = result.outputs["output"]
    counts = raster.sum(axis=1)
    np.testing.assert_array_equal(counts, reference["out_counts"][:samples])
    first = min(samples, 20)
    np.testing.assert_array_equal(
        np.swapaxes(raster[:first], 0, 1), reference["out_raster_first20"][:, :first]
    )
    for layer in ("1", "3", "6", "10", "12"):
        recorded = reference[f"layer_spikes_{layer}"][:samples]
        np.testing.assert_array_equal(result.spike_counts[layer], recorded)
    return int((counts.argmax(axis=1) == reference["labels"][:samples]).sum())


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_the_published_nmnist_network_on_two_recordings(reset: str) -> None:
    assert check_nmnist(reset, 2) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("reset", "correct"), [("zero", 100), ("subtract", 98)])
def test_the_published_nmnist_network_on_all_recordings(reset: str, correct: int) -> None:
    assert check_nmnist(reset, 100) == correct


# What becomes of every historical file: the assumption that must be recorded, or the refusal.
HISTORICAL: dict[str, tuple[str, str] | tuple[type[SnncError], tuple[str, ...]]] = {
    "Braille_snntorch__3049cfa1": (ModelFileError, ("not HDF5", "PK")),
    "braille__111b0a44": ("dialect", "snntorch (guessed: r = tau/dt"),
    "braille__a7c67c3a": ("subgraph port", "lif1 read as lif1.input"),
    "braille__f4edd0a1": ("dt", "1 (time constants"),
    "braille_subgraph__77b4a802": ("declared shape ignored", "hidden.input: (12,), (38,)"),
    "braille_subtract_subgraph__aee771e1": (
        ModelError, ("edge 'lif1.input' -> 'lif1.lif', field 'edges'", "lif1.lif1"),
    ),
    "braille_v2__c777885b": ("leading axes of the input ignored", "(256, 12) read as (12,)"),
    "braille_zero__11a0ee4a": ("loop delay", "before recurrent weights"),
    "lif_norse__2b0feb3d": ("dialect", "nir (guessed: no known"),
    "scnn_mnist__232ebad8": ("dialect", "sinabs (guessed: IF with r = 1 and SumPool2d)"),
    "scnn_mnist__9122dac0": ("Flatten axes shifted", "8: start_dim"),
    "scnn_mnist__e1117a1e": ("leading axes of 1 ignored", "12.v_threshold"),
}  # fmt: skip


@pytest.mark.parametrize("name", HISTORICAL)
def test_a_historical_file_is_imported_with_notes_or_refused(name: str) -> None:
    path = require_data("nir", "historical", f"{name}.nir")
    outcome, words = HISTORICAL[name]
    if isinstance(outcome, str):
        assert words in read(path).assumptions[outcome]
        return
    with pytest.raises(outcome) as caught:
        read(path)
    for word in words:
        assert word in str(caught.value)


PUBLISHED = {
    "cnn_sinabs": ("dialect", "sinabs (guessed: IF with r = 1 and SumPool2d)"),
    "lif/lif_norse": ("dialect", "nir (guessed: no known"),
    "lif/lif_rockpool": ("dialect", "rockpool (guessed: r = tau exp(-dt/tau)"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_is_imported_with_its_notes(name: str) -> None:
    key, words = PUBLISHED[name]
    assert words in read(require_data("nir", f"{name}.nir")).assumptions[key]


def test_every_file_has_an_expected_outcome() -> None:
    folder = require_data("nir")
    expected = {*PUBLISHED, *(f"exported/{n}" for n in EXPORTED)}
    expected |= {f"historical/{n}" for n in HISTORICAL}
    found = {str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.nir")}
    assert found == expected


def test_three_histories_of_one_network_compute_the_same() -> None:
    folder = require_data("nir", "historical")
    names = ("scnn_mnist__232ebad8", "scnn_mnist__9122dac0", "scnn_mnist__e1117a1e")
    x = (np.random.default_rng(0).random((1, 12, 2, 34, 34)) < 0.1).astype(float)
    first, *others = [run_real(read(folder / f"{n}.nir"), {"input": x}) for n in names]
    assert sum(int(c.sum()) for c in first.spike_counts.values()) > 1000
    for other in others:
        assert set(first.mismatches(other).values()) == {0}
