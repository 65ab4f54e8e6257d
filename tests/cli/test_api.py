from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from support.tiny import tiny_deployment

import snnc
from snnc.ir import artifact
from snnc.ir.errors import ArtifactError

DEMO = Path(str(files("snnc"))) / "demo_data"


def test_importing_snnc_imports_nothing_heavy() -> None:
    code = "import snnc, sys; assert not {'numpy', 'numba', 'ortools'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_everything_public_exists_and_nothing_else_does() -> None:
    for name in snnc.__all__:
        assert getattr(snnc, name) is not None
    assert set(snnc.__all__) == set(dir(snnc))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        snnc.nonsense  # noqa: B018


def test_a_model_compiles_and_runs_in_memory() -> None:
    stages: list[str] = []
    inputs = snnc.InputOptions(encode="direct")
    options = snnc.CompileOptions(timesteps=5, target="loihi2", calibration_samples=2)
    compiled = snnc.compile(
        DEMO / "digits_cnn.nir",
        options,
        calibration=DEMO / "digits_test.npz",
        inputs=inputs,
        on_stage=lambda stage, seconds: stages.append(stage),
    )
    assert compiled.artifact is None
    assert compiled.deployment is not None
    assert stages[::2] == list(compiled.seconds)
    ran = snnc.run(compiled.deployment, DEMO / "digits_test.npz", samples=3, backend="functional")
    assert ran.mismatches == 0
    assert (ran.samples, ran.steps) == (3, 5)
    assert snnc.verify(compiled.deployment, samples=1).ok


def test_without_calibration_the_report_estimates_nothing() -> None:
    compiled = snnc.compile(DEMO / "digits_cnn.nir", snnc.CompileOptions(timesteps=2))
    assert compiled.deployment is not None
    assert compiled.deployment.report["traffic"]["energy"] is None
    assert "not known" in compiled.deployment.report["traffic"]["basis"]


def test_an_artifact_with_a_foreign_report_is_refused(tmp_path: Path) -> None:
    artifact.write(tiny_deployment(), tmp_path / "tiny.snnc")
    with pytest.raises(ArtifactError, match="report is of another kind"):
        snnc.report(tmp_path / "tiny.snnc")
