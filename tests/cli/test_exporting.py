"""``snnc export`` at the command line and from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.cli import DIGITS, Snnc, refused
from support.paths import require_data
from support.real_nets import dense_net

import snnc as package
from snnc.assignments import assigned
from snnc.compiler.exporters.nir import NirExportOptions
from snnc.compiler.frontends.nir import read
from snnc.ir.errors import OptionError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import Input, Output, Reduce
from snnc.ir.types import BIN


def test_a_model_is_exported_and_says_how_to_read_it(snnc: Snnc, tmp_path: Path) -> None:
    path = tmp_path / "out.nir"
    found = snnc("export", DIGITS, "--to", "nir", "-o", path)
    assert found.code == 0
    assert "read with: dialect snntorch, dt 0.0001" in found.out
    assert len(read(path).nodes) == len(read(DIGITS).nodes)
    again = snnc("export", DIGITS, "--to", "nir", "-o", path, "--json").json
    assert (again["schema"], again["format"], again["output"]) == (
        "snnc-export/1",
        "nir",
        str(path),
    )


def test_what_would_be_lost_is_refused_until_it_is_allowed(snnc: Snnc, tmp_path: Path) -> None:
    path = tmp_path / "out.nir"
    words = ("export", DIGITS, "--to", "nir", "-o", path, "--set", "reader=spikingjelly")
    refused(snnc(*words), "lif1.comparator", "found:      >", "approximate comparator")
    assert not path.exists()
    done = snnc(*words, "--set", "approximate=comparator", "--json").json
    assert any("comparator of lif1: >, reads as >=" in text for text in done["approximations"])


def test_bad_words_are_named(snnc: Snnc, tmp_path: Path, compiled: Path) -> None:
    out = ("-o", tmp_path / "out.nir")
    refused(snnc("export", DIGITS, "--to", "onnx9", *out), "--to", "unknown format", "nir")
    refused(snnc("export", DIGITS, "--to", "nir", *out, "--set", "colour=red"), "colour=red",
            "reader=..., dt=...")  # fmt: skip
    refused(snnc("export", DIGITS, "--to", "nir", *out, "--set", "dt=soon"), "soon", "float")
    refused(snnc("export", tmp_path / "absent.nir", "--to", "nir", *out), "no such file")
    refused(snnc("export", compiled, "--to", "nir", *out), "real numbers", "compiled program")
    refused(snnc("export", DIGITS, "--to", "nir", "-o", DIGITS), "would replace")


def test_a_model_is_written_as_onnx_and_compiled_from_there(snnc: Snnc, tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    done = snnc("export", DIGITS, "--to", "onnx", "-o", path, "--json").json
    assert (done["format"], done["details"]["populations"]) == ("onnx", 5)
    other = package.export_onnx(DIGITS, tmp_path / "other.onnx")
    assert other.path.read_bytes() == path.read_bytes()
    out = tmp_path / "out.snnc"
    assert snnc("compile", path, "--timesteps", 4, "--target", "loihi1", "-o", out).code == 0


def test_onnx_holds_one_step_of_real_numbers(snnc: Snnc, tmp_path: Path, compiled: Path) -> None:
    out = tmp_path / "out.onnx"
    refused(snnc("export", compiled, "--to", "onnx", "-o", out), "real numbers")
    nodes = (Input("x", (2,), BIN), Reduce("whole", ("x",), "sum", (), 3), Output("y", ("whole",)))
    with pytest.raises(UnsupportedError, match="one time step"):
        package.export(Network("sums", nodes), "onnx", out)
    assert not out.exists()


def test_a_network_in_memory_is_exported(tmp_path: Path) -> None:
    network = dense_net(np.eye(2), decay=0.5, comparator=">")
    told = package.export_nir(network, tmp_path / "net.nir", reader="norse")
    assert told.details["reader"] == "norse"
    assert told.as_dict()["output"] == str(tmp_path / "net.nir")
    assert package.export(network, "nir", tmp_path / "b.nir").format == "nir"


def test_assignments_become_fields() -> None:
    words = ["reader=norse", "dt=0.5", "approximate=reset,minimum", "approximate=initial"]
    assert assigned(NirExportOptions, words, "--set") == NirExportOptions(
        "norse", 0.5, approximate=("reset", "minimum", "initial")
    )
    with pytest.raises(OptionError, match="not an assignment"):
        assigned(NirExportOptions, ["reader"], "--set")


@pytest.mark.parametrize("command", ["export", "compare"])
def test_a_network_whose_thresholds_need_data_is_refused(
    snnc: Snnc, command: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    model = require_data("onnx", "mnist-8.onnx")
    more = ("--to", "nir", "-o", tmp_path / "m.nir") if command == "export" else ()
    refused(snnc(command, model, *more), "an ANN needs calibration data")
    assert not list(tmp_path.iterdir())
