"""``snnc compare``: two readings of a file, real against integers, artifacts, recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import DIGITS, Snnc, refused
from support.nir_files import affine, chain, lif
from support.paths import ROOT, require_data

import snnc as package
from snnc.ir.errors import InputError, OptionError

IMAGES = DIGITS.parent / "digits_test.npz"


@pytest.fixture
def edge(tmp_path: Path) -> Path:
    """Two neurons without memory, of which the second gets exactly its threshold."""
    return chain(
        tmp_path / "edge.nir", (1,), affine([[2.0], [1.0]], [0, 0]), lif((2,), tau=1e-4, r=1.0)
    )


def test_two_readings_part_where_the_potential_equals_the_threshold(edge: Path) -> None:
    report = package.compare(edge, a_options=["threshold=>"], b_options=["threshold=>="])
    assert not report.equal
    found = report.difference.first
    assert found is not None
    layer, first = found
    assert (layer.names, first.index, first.left, first.right) == (("n1", "n1"), 1, 0, 1)
    assert all(p is not None and p.potential == p.threshold == 1 for p in report.probes)
    assert [p.comparator for p in report.probes if p is not None] == [">", ">="]
    assert report.assumptions[0]["comparator"] != report.assumptions[1]["comparator"]
    events = report.difference.layers[0].totals
    assert events[1] == 2 * events[0] > 0


def test_the_terminal_shows_layer_step_neuron_and_both_values(snnc: Snnc, edge: Path) -> None:
    found = snnc("compare", edge, "--a", "threshold=>", "--b", "threshold=>=")
    assert found.code == 1
    assert "first difference: n1, step 0, sample" in found.out
    assert "neuron (1)" in found.out
    assert "a: 0  (input 1, potential 1 > 1? 1 of the threshold)" in found.out
    assert "b: 1  (input 1, potential 1 >= 1? 1 of the threshold)" in found.out
    assert "v >= threshold (given)" in found.out


def test_a_file_equals_itself(snnc: Snnc, edge: Path) -> None:
    found = snnc("compare", edge, edge, "--samples", 3, "--timesteps", 5)
    assert found.code == 0
    assert "equal: no entry differs" in found.out
    assert "3 samples of 5 steps" in found.out


def test_another_export_of_a_network_is_paired_by_order(snnc: Snnc, tmp_path: Path) -> None:
    a = chain(tmp_path / "a.nir", (3,), affine(np.eye(3), [0, 0, 0]), lif((3,)))
    b = chain(tmp_path / "b.nir", (3,), affine(np.eye(3), [0, 0, 0]), lif((1,)), lif((3,)))
    found = snnc("compare", a, b, "--json").json
    pairs = [(row["a"], row["b"]) for row in found["layers"]]
    assert pairs == [("n1", "n1"), ("output", "output")]
    assert found["unpaired"] == {"a": [], "b": ["n2"]}
    assert found["equal"] is False


def test_real_numbers_against_integers_on_data(snnc: Snnc) -> None:
    found = snnc(
        "compare", DIGITS, "--input", IMAGES, "--encode", "direct", "--timesteps", 10,
        "--samples", 6, "--b", "weight-bits=4", "--json",
    ).json  # fmt: skip
    assert (found["samples"], found["steps"], found["equal"]) == (6, 10, False)
    assert found["first"]["a"] == "lif1"
    assert found["correct"][0] == 6
    assert found["same_class"] >= 4
    rows = {row["a"]: row for row in found["layers"]}
    assert rows["lif1"]["differing"] > rows["lif5"]["differing"] >= 0
    assert "integers for loihi1" in found["assumptions"]["b"]["computes"]
    finer = snnc(
        "compare", DIGITS, "--input", IMAGES, "--encode", "direct", "--timesteps", 10,
        "--samples", 6, "--b", "weight-bits=8", "--json",
    ).json  # fmt: skip
    assert finer["differing"] < found["differing"]


@pytest.mark.parametrize("backend", ["functional", "cycle"])
def test_backends_of_an_artifact_are_equal(snnc: Snnc, compiled: Path, data: Path, backend: str
                                           ) -> None:  # fmt: skip
    found = snnc("compare", compiled, "--input", data, "--b", f"backend={backend}", "--json")
    assert found.code == 0
    assert sum(row["totals"][0] for row in found.json["layers"]) > 10
    assert found.json["first"] is None


def test_an_artifact_against_its_own_trace_and_a_changed_one(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "t.npz"
    snnc("run", compiled, "--input", data, "--trace", trace)
    assert snnc("compare", compiled, trace, "--input", data).code == 0
    with np.load(trace) as file:
        arrays = dict(file)
    name = next(k for k in arrays if k.endswith(".value") and arrays[k].size).removesuffix(".value")
    where = {f: int(arrays[f"{name}.{f}"][-1]) for f in ("sample", "step", "index", "value")}
    arrays[f"{name}.value"] = arrays[f"{name}.value"].copy()
    arrays[f"{name}.value"][-1] += 5
    np.savez(trace, **arrays)
    found = snnc("compare", compiled, trace, "--input", data, "--json")
    assert found.code == 1
    first = found.json["first"]
    assert (first["a"], first["first"]["sample"], first["first"]["step"]) == (
        name, where["sample"], where["step"],
    )  # fmt: skip
    assert first["first"]["values"] == [where["value"], where["value"] + 5]
    assert found.json["differing"] == 1


def test_dense_rasters_of_a_framework_can_be_compared(edge: Path, tmp_path: Path) -> None:
    x = np.array([[[1], [0], [1]]])
    np.savez(tmp_path / "x.npz", x=x)
    raster = np.concatenate([x, x], axis=2)
    np.savez(tmp_path / "other.npz", **{"spikes.n1": raster, "output.output": raster})
    options: Any = {"input": tmp_path / "x.npz", "a_options": ["threshold=>="]}
    assert package.compare(edge, tmp_path / "other.npz", **options).equal
    np.savez(tmp_path / "short.npz", **{"output.output": raster[:, :2]})
    cut = package.compare(edge, tmp_path / "short.npz", **options)
    assert (cut.steps, cut.equal) == (2, True)


def test_graded_outputs_take_a_tolerance(tmp_path: Path) -> None:
    path = chain(tmp_path / "li.nir", (2,), lif_readout())
    exact = package.compare(path, b_options=["precision=float32"])
    assert not exact.equal
    assert exact.difference.first is not None
    assert exact.difference.first[0].kind == "output"
    assert package.compare(path, b_options=["precision=float32"], tolerance=1e-5).equal


def lif_readout() -> dict[str, Any]:
    """An integrating readout with a decay that float32 rounds."""
    return {"type": "LI", "tau": np.array(7e-4), "r": np.array(3.3), "v_leak": np.array(0.1)}


def test_exported_frameworks_are_told_apart(snnc: Snnc) -> None:
    path = require_data("nir", "exported", "snntorch_cnn_subtract.nir")
    found = snnc("compare", path, "--a", "reset=subtract", "--b", "dialect=nir", "--b",
                 "reset=subtract", "--json")  # fmt: skip
    assert found.code == 1
    assert found.json["assumptions"]["a"]["reset timing"] == "snnTorch's two-stage rule"
    assert found.json["first"]["a"] == "1"


def test_bad_input_is_named(snnc: Snnc, edge: Path, compiled: Path, tmp_path: Path) -> None:
    refused(snnc("compare", edge, "--b", "colour=red"), "--b", "colour=red", "dialect=...")
    refused(snnc("compare", edge, "--b", "backend=cycle"), "backend=cycle", "only a compiled")
    refused(snnc("compare", edge, "--b", "backend=quantum"), "quantum", "functional")
    refused(snnc("compare", edge, tmp_path / "absent.nir"), "no such file")
    refused(snnc("compare", edge, compiled), "different inputs")
    refused(snnc("compare", edge, "--tolerance", "-1"), "--tolerance")
    np.savez(tmp_path / "none.npz", z=np.zeros(3))
    refused(snnc("compare", edge, tmp_path / "none.npz"), "no recorded spikes", "keys z")
    np.savez(tmp_path / "part.npz", **{"n1.index": np.zeros(3, int)})
    refused(snnc("compare", edge, tmp_path / "part.npz"), "incomplete events")


def test_networks_without_a_common_layer_or_two_recordings_are_refused(
    edge: Path, tmp_path: Path
) -> None:
    other = chain(tmp_path / "o.nir", (1,), affine(np.ones((3, 1)), [0, 0, 0]), lif((3,)))
    with pytest.raises(InputError, match="nothing to compare"):
        package.compare(edge, other)
    np.savez(tmp_path / "r.npz", **{"output.output": np.zeros((1, 2, 2))})
    with pytest.raises(InputError, match="two recordings"):
        package.compare(tmp_path / "r.npz", tmp_path / "r.npz")
    with pytest.raises(OptionError):
        package.compare(edge, a_options=["precision=float16"])


def test_the_fields_are_the_documented_ones(snnc: Snnc, edge: Path) -> None:
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    found = snnc("compare", edge, "--a", "threshold=>", "--b", "threshold=>=", "--json").json
    for record in (found, found["layers"][0], found["first"]["first"], found["first"]["probes"][0]):
        for name in record:
            assert f"`{name}`" in page, name
