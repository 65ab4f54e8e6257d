"""Digits, end to end: int8 on the emulated chip is as good as the framework's float network."""

from __future__ import annotations

import json
from importlib.resources import as_file, files

import pytest

import snnc
from snnc.compiler.options import CompileOptions
from snnc.inputs import InputOptions

DATA = files("snnc") / "demo_data"
POINTS = 0.003  # 0.3 percentage points: one image of 360


@pytest.mark.slow
def test_int8_on_chip_is_within_a_third_of_a_point_of_float() -> None:
    truth = json.loads((DATA / "digits_cnn.json").read_text(encoding="utf-8"))
    options = CompileOptions(timesteps=truth["steps"])
    with as_file(DATA / "digits_cnn.nir") as model, as_file(DATA / "digits_test.npz") as images:
        inputs = InputOptions(encode="direct")
        program = snnc.compile(model, options, calibration=images, inputs=inputs).deployment
        assert program is not None
        fast = snnc.run(program, images, backend="functional", compare=20)
        chip = snnc.run(program, images, backend="cycle", samples=40, compare=10)
    assert fast.samples == truth["images"]
    assert fast.accuracy is not None
    assert abs(fast.accuracy - truth["accuracy"]) <= POINTS
    assert (fast.mismatches, chip.mismatches) == (0, 0)
    assert chip.predictions["output"] == fast.predictions["output"][:40]
