"""Ctrl-C while ``snnc compile`` places: the best so far is written, and can be resumed."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.paths import ROOT

import snnc
from snnc.ir import artifact

MODEL = ROOT / "src" / "snnc" / "demo_data" / "digits_cnn.nir"
# A shell starts background jobs with SIGINT ignored, and Python keeps that.
PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from snnc.cli.shell import main; main(sys.argv[1:])"
)


def compile_on_terminal(*words: str, presses: int) -> tuple[int, str]:
    """(exit code, stdout) of ``snnc compile``; Ctrl-C as soon as the placement is shown."""
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "compile", str(MODEL), *words],
        stdout=subprocess.PIPE, stderr=terminal, text=True,
    )  # fmt: skip
    os.close(terminal)
    seen, pressed = b"", 0
    end = time.monotonic() + 600
    while time.monotonic() < end:
        try:
            part = os.read(screen, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
        if b"placing" in seen and pressed < presses:
            process.send_signal(signal.SIGINT)
            pressed += 1
            if pressed < presses:
                time.sleep(0.3)
                process.send_signal(signal.SIGINT)
                pressed += 1
    os.close(screen)
    out = process.communicate(timeout=600)[0]
    assert pressed == presses, seen
    return process.returncode, out


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_placement_and_a_later_run_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "cut.snnc"
    patient = ("--timesteps", "4", "--effort", "high", "--time-limit", "600", "-o", str(file))
    code, out = compile_on_terminal(*patient, presses=1)
    assert code == 0, out
    assert "--placement-start goes on from here" in " ".join(out.split())
    placement = snnc.report(file).report["map"]["placement"]
    assert placement["interrupted"]
    assert not placement["complete"]
    assert snnc.verify(file, samples=1).ok
    options = snnc.CompileOptions(timesteps=4)
    resumed = snnc.compile(MODEL, options, placement_start=file)
    assert resumed.deployment is not None
    report = resumed.deployment.report["map"]["placement"]
    assert report["objective"] <= placement["objective"]
    assert not report["interrupted"]
    assert len(artifact.read(file).cores.location) == len(resumed.deployment.cores.location)
