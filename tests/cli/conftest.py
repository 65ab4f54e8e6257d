from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.cli import Outcome, Snnc
from support.mapped import STEPS, small_deployment

from snnc.cli.shell import main
from snnc.ir import artifact


@pytest.fixture
def snnc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Snnc:
    """Run the command line in this process, in a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        code = stop.value.code
        assert isinstance(code, int)
        return Outcome(code, out, err)

    return run


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small artifact for loihi1."""
    path = tmp_path_factory.mktemp("compiled") / "small.snnc"
    artifact.write(small_deployment(), path)
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four samples of random events with labels."""
    path = tmp_path_factory.mktemp("data") / "d.npz"
    random = np.random.default_rng(0)
    x = (random.random((4, STEPS, 1, 6, 6)) < 0.3).astype(np.uint8)
    np.savez(path, x=x, y=np.arange(4))
    return path
