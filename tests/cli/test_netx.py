"""``.net`` files from the command line: compile, run, verify, check, inspect, and their options."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.cli import Snnc
from support.netx_files import alif, conv, cuba, dense, flatten, input_layer, pool, sdnn, write
from support.nir_files import chain, if_

from snnc import api
from snnc.compiler.options import CompileOptions
from snnc.ir.errors import OptionError, UnsupportedError


def every_layer(path: Path) -> Path:
    """All layer types that are spikes, weights and neurons, with delays, bias and a loop."""
    rng = np.random.default_rng(5)
    loop = dense(2 * rng.integers(-20, 30, (6, 16)), cuba(1024, 256, 30)) | {
        "type": "dense_rec", "weight_rec": np.float32(2 * rng.integers(-20, 20, (6, 6))),
    }  # fmt: skip
    return write(
        path,
        input_layer((1, 9, 9), neuron=cuba(4096, 1024, 25), weight=np.float32(40)),
        conv(2 * rng.integers(-20, 40, (4, 1, 2, 2)), (4, 8, 8), cuba(4096, 512, 25),
             bias=np.float32([0, 5, -3, 2])),
        pool(np.full((4, 4), 32), (4, 2, 2), cuba(2048, 0, 60), (4, 4)),
        flatten(16),
        loop,
        dense(2 * rng.integers(-20, 30, (5, 6)), cuba(1024, 256, 30),
              delay=np.float32([0, 3, 1, 0, 3]), bias=np.float32([0, 4, 2, 1, 0])),
        dense(2 * rng.integers(-20, 30, (3, 5)), cuba(4096, 0, 131_071)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("netx")
    options = CompileOptions(target="loihi1", timesteps=12, input_layer="spikes")
    result = api.compile(
        every_layer(folder / "a.net"), options, output=folder / "a.snnc",
        build_dir=folder / "build",
    )  # fmt: skip
    assert result.artifact is not None
    return result.artifact


def test_a_network_of_every_layer_type_runs_bit_exactly_on_the_chip(
    snnc: Snnc, artifact: Path
) -> None:
    found = snnc("verify", artifact, "--samples", 3, "--json")
    assert found.code == 0, found
    report = json.loads(found.out)
    assert report["ok"]
    firing = {name for name, count in _spikes(artifact).items() if count}
    assert firing >= {"layer1", "layer2", "layer4", "layer5"}


def _spikes(artifact: Path) -> dict[str, int]:
    data = artifact.with_suffix(".npz")
    random = np.random.default_rng(1)
    np.savez(data, input=(random.random((2, 12, 1, 9, 9)) < 0.4).astype(np.uint8))
    found = api.run(artifact, data, compare=2)
    return dict(found.as_dict()["spikes"])


def test_the_report_names_no_quantization(snnc: Snnc, artifact: Path) -> None:
    report = json.loads(snnc("report", artifact, "--json").out)
    assert report["quantize"] == {}
    assert report["approximations"] == []
    assert "left to the host" in report["assumptions"]["layer0"]
    assert snnc("report", artifact).code == 0


def test_rates_are_measured_on_calibration_data(tmp_path: Path) -> None:
    model = write(tmp_path / "a.net", dense(np.eye(6) * 64, cuba(4096, 4095, 10)))
    np.savez(tmp_path / "d.npz", x=np.ones((3, 5, 6), np.uint8))
    result = api.compile(model, CompileOptions(), calibration=tmp_path / "d.npz")
    assert result.deployment is not None
    layer = result.deployment.report["layers"][0]
    assert layer["spikes_per_sample"] == 30


def test_check_names_the_layer_the_target_refuses(snnc: Snnc, tmp_path: Path) -> None:
    model = every_layer(tmp_path / "a.net")
    found = json.loads(snnc("check", model, "--json").out)
    assert found["ok"]
    assert [n["kind"] for n in found["nodes"]][:4] == ["input", "conv", "pool", "flatten"]
    found = json.loads(snnc("check", model, "--target", "loihi1", "--json").out)
    bad = [n for n in found["nodes"] if n["verdict"] == "refused"]
    assert [n["node"] for n in bad] == ["input"]
    assert "--input-layer spikes" in bad[0]["remedy"]
    fine = snnc("check", model, "--target", "loihi1", "--input-layer", "spikes")
    assert fine.code == 0, fine
    broken = write(tmp_path / "b.net", dense(np.ones((2, 2)), cuba() | {"type": "RF"}))
    found = json.loads(snnc("check", broken, "--json").out)
    assert [(n["node"], n["verdict"]) for n in found["nodes"]] == [("layer0", "refused")]


def test_inspect_shows_integers(snnc: Snnc, tmp_path: Path) -> None:
    model = every_layer(tmp_path / "a.net")
    found = json.loads(snnc("inspect", model, "--json").out)
    kinds = {node["name"]: node["kind"] for node in found["nodes"]}
    assert kinds["layer1.weight"] == "Linear"
    assert kinds["layer4.past"] == "Delay"
    assert snnc("inspect", model).code == 0
    broken = write(tmp_path / "b.net", dense(np.ones((2, 2)), cuba() | {"type": "RF"}))
    found = json.loads(snnc("inspect", broken, "--json").out)
    assert found["error"]["problem"] == "neuron type RF is not supported"
    assert found["nodes"][0]["parameters"]["neuron/vDecay"] == 128


def test_an_average_of_the_output_is_read_on_the_chip(tmp_path: Path) -> None:
    first = dense(np.eye(6) * 64, cuba(4096, 4094, 10))
    average = {"type": "average", "shape": np.array([2, 1, 1])}
    model = write(tmp_path / "a.net", first, average)
    result = api.compile(model, CompileOptions(timesteps=6))
    assert result.deployment is not None
    assert api.verify(result.deployment, samples=2).ok


def test_a_current_that_never_decays_is_refused_by_the_chip(tmp_path: Path) -> None:
    first = dense(np.eye(6) * 64, cuba(4096, 4094, 10))
    model = write(tmp_path / "a.net", first, dense(2 * np.eye(6)))
    with pytest.raises(UnsupportedError, match=r"layer1.*\n.*current leak 4096\.\.4096"):
        api.compile(model, CompileOptions(timesteps=6))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--dialect", "snntorch"), ("--dt", "0.001"), ("--reset", "zero"), ("--threshold", ">"),
        ("--loop-delay", "before"), ("--weight-bits", "4"), ("--transpose-linear", None),
    ],
)  # fmt: skip
def test_options_of_nir_files_are_refused(
    snnc: Snnc, tmp_path: Path, option: str, value: str | None
) -> None:
    model = write(tmp_path / "a.net", dense(np.ones((1, 1)), cuba()))
    words = [option] if value is None else [option, value]
    found = snnc("compile", model, "--timesteps", 4, "-o", tmp_path / "a.snnc", *words)
    assert found.code == 2
    assert found.err.startswith(f"error: {option}: the option applies to .nir files only")
    assert not (tmp_path / "a.snnc").exists()


def test_the_option_of_net_files_is_refused_for_nir(tmp_path: Path) -> None:
    model = chain(tmp_path / "a.nir", (2,), if_((2,)))
    with pytest.raises(OptionError, match=r"--input-layer: the option applies to \.net files only"):
        api.inspect(model, CompileOptions(input_layer="spikes"))
    with pytest.raises(OptionError, match="--input-layer: not one of the choices"):
        api.inspect(every_layer(tmp_path / "a.net"), CompileOptions(input_layer="frames"))


def test_sigma_delta_and_adaptive_layers_are_read_checked_and_compiled(
    snnc: Snnc, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    changes = write(
        tmp_path / "s.net",
        input_layer((4,), neuron=sdnn(2)),
        dense(rng.integers(-9, 15, (5, 4)) * 2, sdnn(3), bias=np.arange(5, dtype=np.float32)),
        dense(rng.integers(-9, 15, (2, 5)) * 2, sdnn(3, sigma_output=True)),
    )
    adaptive = write(tmp_path / "a.net", dense(rng.integers(-9, 40, (5, 4)) * 2, alif()))
    assert snnc("check", changes, "--target", "loihi2").code == 0
    for model in (changes, adaptive):
        assert snnc("inspect", model, "--target", "toy-mesh", "--timesteps", 8).code == 0
    refused = snnc("check", changes, "--target", "loihi1", "--json")
    assert refused.code == 1
    said = {n["node"]: n["problem"] for n in json.loads(refused.out)["nodes"]}
    assert said["layer1"] == "a sigma-delta neuron, and neurons of loihi1 send spikes, not changes"
    for target in ("loihi1", "loihi2"):
        refused = snnc("check", adaptive, "--target", target, "--json")
        assert refused.code == 1
        said = {n["node"]: n["problem"] for n in json.loads(refused.out)["nodes"]}
        assert said["layer0"] == "a relative refractory state beside the threshold (ALIF)"
    words = ("--target", "toy-mesh", "--timesteps", 8, "--spike-exponent", 2)
    out = tmp_path / "out.snnc"
    assert snnc("compile", changes, *words, "-o", out).code == 0
    np.savez(tmp_path / "x.npz", input=rng.integers(-60, 60, (2, 8, 4)))
    ran = snnc("run", out, "--input", tmp_path / "x.npz", "--compare", 2)
    assert ran.code == 0, ran
    bad = snnc("compile", changes, "--spike-exponent", 9, "-o", out)
    assert bad.code == 2
    assert "--spike-exponent" in bad.err
