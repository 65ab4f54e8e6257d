"""``.net`` files that are damaged, or mean something else in Lava than they say, are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.netx_files import conv, cuba, dense, flatten, input_layer, pool, write
from support.nir_files import chain, if_

from snnc.compiler.frontends import hdf5 as storage
from snnc.compiler.frontends import netx
from snnc.compiler.frontends.netx import hdf5
from snnc.compiler.options import CompileOptions
from snnc.compiler.reading import read_finished
from snnc.ir.errors import ModelError, ModelFileError, OptionError, SnncError, UnsupportedError

ONE = np.full((1, 1), 2.0)


def refused(path: Path, *layers: Any, kind: type[SnncError], match: str) -> SnncError:
    write(path / "a.net", *layers)
    with pytest.raises(kind, match=match) as caught:
        netx.read(path / "a.net")
    assert "a.net" in caught.value.where
    return caught.value


@pytest.mark.parametrize("kind", ["concat", "dense_comp", "kwta", "maxpool", "x" * 10])
def test_unknown_layer_types_are_named(tmp_path: Path, kind: str) -> None:
    layer = dense(ONE, cuba()) | {"type": kind}
    error = refused(tmp_path, layer, kind=UnsupportedError, match=f"layer type {kind} is not")
    assert "layer0" in error.where
    assert "dense_rec" in error.allowed


@pytest.mark.parametrize("kind", ["RF", "RF_PHASE", "ADRF", "SIGMA_DELTA", ""])
def test_other_neuron_types_are_named(tmp_path: Path, kind: str) -> None:
    layer = dense(ONE, cuba() | {"type": kind})
    error = refused(tmp_path, layer, kind=UnsupportedError, match="neuron type")
    assert error.allowed == "LOIHI, CUBA, ALIF, SDNN"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("refDelay", 2), ("gradedSpike", True), ("messageBits", 8), ("wgtExp", 1),
        ("weight_exp", -1),
    ],
)  # fmt: skip
def test_parameters_that_lava_ignores_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    layer = dense(ONE, cuba(**{name: value}))
    error = refused(tmp_path, layer, kind=UnsupportedError, match=f"{name} is ignored by Lava")
    assert f"neuron/{name}" in error.where


@pytest.mark.parametrize("name", ["sinDecay", "activation", "sigma_output", "persistent"])
def test_unknown_neuron_parameters_are_named(tmp_path: Path, name: str) -> None:
    layer = dense(ONE, cuba(**{name: 1}))
    error = refused(tmp_path, layer, kind=UnsupportedError, match="unknown neuron parameter")
    assert name in error.where


@pytest.mark.parametrize("name", ["mask", "weight_q", "quantization"])
def test_unknown_fields_of_a_layer_are_named(tmp_path: Path, name: str) -> None:
    layer = dense(ONE, cuba(), **{name: np.ones(1)})
    error = refused(tmp_path, layer, kind=UnsupportedError, match="unknown field of a layer")
    assert name in error.where


def test_complex_weights_are_refused(tmp_path: Path) -> None:
    layer = dense(ONE, cuba())
    layer["weight"] = {"real": np.ones((1, 1)), "imag": np.ones((1, 1))}
    refused(tmp_path, layer, kind=UnsupportedError, match="complex weights")


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("weight", [[1.5]], "not integers"),
        ("weight", [[300.0]], "outside their register"),
        ("weight", [[-258.0]], "outside their register"),
        ("weight", [[np.nan]], "finite"),
        ("weight", [[2.0, 4.0]], "does not fit the layer"),
        ("bias", [0.5], "not integers"),
        ("bias", [5000.0], "outside their register"),
        ("bias", [1.0, 2.0], "neither the channels nor the neurons"),
        ("delay", [-1.0], "outside their register"),
        ("inFeatures", 2, "does not fit what flows into it"),
        ("shape", [2], "not what the layer computes"),
        ("shape", [0], "positive extents"),
        ("shape", [1, 1, 1, 1], "positive extents"),
        ("shape", [2**20, 2**20, 2**20], "too many neurons"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    tmp_path: Path, field: str, value: Any, match: str
) -> None:
    layer = dense(ONE, cuba()) | {field: np.array(value)}
    error = refused(tmp_path, input_layer((1,)), layer, kind=ModelError, match=match)
    assert "layer1" in error.where


@pytest.mark.parametrize(
    ("name", "value"), [("iDecay", 4097), ("vDecay", -1), ("vThMant", -1), ("iDecay", 0.25)]
)
def test_neuron_parameters_outside_their_registers_are_refused(
    tmp_path: Path, name: str, value: Any
) -> None:
    error = refused(
        tmp_path, dense(ONE, cuba() | {name: value}), kind=ModelError, match="register|integers"
    )
    assert f"neuron/{name}" in error.where


@pytest.mark.parametrize("name", ["weight", "inFeatures", "outFeatures", "shape", "neuron/vDecay"])
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.net", input_layer((1,)), dense(ONE, cuba()))
    with h5py.File(tmp_path / "a.net", "a") as root:
        del root[f"layer/1/{name}"]
    with pytest.raises(ModelError, match="field is missing") as caught:
        netx.read(tmp_path / "a.net")
    assert f"field '{name}'" in caught.value.where


def test_long_and_odd_delays_are_refused(tmp_path: Path) -> None:
    layer = dense(np.ones((3, 2)), cuba(), delay=np.array([63.0, 0, 0]))
    refused(tmp_path, layer, kind=UnsupportedError, match="netx clips")
    layer = dense(np.ones((3, 2)), cuba(), delay=np.array([1.0, 0]))
    refused(tmp_path, layer, kind=UnsupportedError, match="not one per neuron")
    layer = dense(np.ones((2, 2)), cuba(), delay=np.array([1.0, 0]), weight_rec=np.ones((2, 2)))
    layer["type"] = "dense_rec"
    refused(tmp_path, layer, kind=UnsupportedError, match="delays of a recurrent layer")


def test_layers_in_impossible_places_are_refused(tmp_path: Path) -> None:
    first = dense(ONE, cuba())
    refused(tmp_path, first, input_layer((1,)), kind=UnsupportedError, match="input layer inside")
    refused(tmp_path, dense(ONE), first, kind=UnsupportedError, match="without neurons inside")
    refused(tmp_path, input_layer((1,)), kind=ModelError, match="network without neurons")
    average = {"type": "average", "shape": np.array([1, 1, 1])}
    two = dense(np.ones((2, 1)), cuba())
    refused(tmp_path, two, average, first, kind=UnsupportedError, match="average that is not")
    average = {"type": "average", "shape": np.array([2, 1, 1])}
    refused(tmp_path, two, average, kind=UnsupportedError, match="average that is not")
    image = input_layer((1, 2, 2))
    layer = dense(np.ones((1, 4)), cuba())
    error = refused(tmp_path, image, layer, kind=ModelError, match="what flows into it")
    assert "flatten" in error.remedy


def test_convolutions_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    layer = conv(np.ones((2, 1, 3, 3)), (2, 2, 2), cuba())
    refused(tmp_path, layer, kind=ModelError, match="size of the network's input")
    image = input_layer((2, 4, 4))
    refused(tmp_path, image, layer, kind=ModelError, match="what flows into it")
    image = input_layer((1, 4, 4))
    wrong = layer | {"kernelSize": np.array([2, 3])}
    refused(tmp_path, image, wrong, kind=ModelError, match="weight does not fit")
    wrong = layer | {"groups": 2}
    refused(tmp_path, image, wrong, kind=ModelError, match="weight does not fit")
    wrong = layer | {"shape": np.array([2, 4, 1])}
    refused(tmp_path, image, wrong, kind=ModelError, match="not what the layer computes")
    refused(tmp_path, input_layer((1, 2, 2)), layer, kind=ModelError, match="kernel")
    wrong = layer | {"stride": np.array([0, 1])}
    refused(tmp_path, image, wrong, kind=ModelError, match="stride")
    kernel = pool(np.ones((2, 2)), (1, 2, 2), cuba(), (2, 2)) | {"weight": np.ones((1, 1, 3, 3))}
    refused(tmp_path, image, kernel, kind=ModelError, match="weight does not fit")
    line = pool(np.ones((2, 2)), (1, 2, 2), cuba(), (2, 2))
    refused(tmp_path, input_layer((4,)), line, kind=ModelError, match="a pool needs")


def edited(path: Path, change: Callable[[Any], None]) -> Path:
    write(path, dense(ONE, cuba()), dense(ONE, cuba()))
    with h5py.File(path, "a") as root:
        change(root)
    return path


def _gap(root: Any) -> None:
    root.move("layer/1", "layer/2")


def _empty(root: Any) -> None:
    del root["layer"]


def _no_type(root: Any) -> None:
    del root["layer/1/type"]


def _number_type(root: Any) -> None:
    del root["layer/1/type"]
    root["layer/1/type"] = 3


def _link(root: Any) -> None:
    root["layer/1/bias"] = h5py.ExternalLink("other.h5", "/x")


def _deep(root: Any) -> None:
    root["layer/1/neuron/more/x"] = 1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_gap, "not numbered from 0"),
        (_empty, "not a network of lava-dl"),
        (_no_type, "without a type"),
        (_number_type, "type is not a text"),
        (_link, "links to other places"),
        (_deep, "dataset is required"),
    ],
)
def test_other_layouts_are_refused(
    tmp_path: Path, change: Callable[[Any], None], match: str
) -> None:
    path = edited(tmp_path / "a.net", change)
    with pytest.raises(ModelFileError, match=match) as caught:
        read_finished(path, CompileOptions())
    assert "a.net" in caught.value.where


def test_files_that_are_not_netx_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.net").write_text("no network")
    with pytest.raises(ModelFileError, match="not a netx file: it is not HDF5"):
        read_finished(tmp_path / "text.net", CompileOptions())
    with pytest.raises(ModelFileError, match="a NIR file ends in"):
        read_finished(chain(tmp_path / "nir.net", (2,), if_((2,))), CompileOptions())
    path = write(tmp_path / "a.net", dense(ONE, cuba()), dense(ONE, cuba()))
    monkeypatch.setattr(hdf5, "MAX_LAYERS", 1)
    with pytest.raises(ModelFileError, match="at most 1 layers"):
        netx.read(path)
    monkeypatch.setattr(hdf5, "MAX_LAYERS", 10)
    monkeypatch.setattr(storage, "FREE_BYTES", 10)
    monkeypatch.setattr(storage, "MAX_RATIO", 0)
    with pytest.raises(ModelFileError, match="more memory"):
        netx.read(path)


def test_an_unknown_way_to_feed_the_input_layer_is_refused() -> None:
    with pytest.raises(OptionError, match="not one of the choices"):
        netx.NetxOptions("bias")  # type: ignore[arg-type]


def test_mutated_files_end_in_typed_errors_or_networks(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    whole = write(
        tmp_path / "a.net", input_layer((1, 4, 4), neuron=cuba()),
        conv(2 * np.ones((2, 1, 3, 3)), (2, 2, 2), cuba(), bias=np.ones(2)),
        flatten(8), dense(2 * np.ones((3, 8)), cuba()),
    ).read_bytes()  # fmt: skip
    outcomes = {"error": 0, "network": 0}
    for _ in range(150):
        data = bytearray(whole[: int(rng.integers(len(whole) // 2, len(whole) + 1))])
        for position in rng.integers(0, len(data), int(rng.integers(1, 8))):
            data[position] = rng.integers(0, 256)
        (tmp_path / "b.net").write_bytes(data)
        try:
            netx.read(tmp_path / "b.net")
            outcomes["network"] += 1
        except SnncError:
            outcomes["error"] += 1
    assert outcomes["error"] > 50
