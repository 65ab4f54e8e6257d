"""What the command line and the API name before anything heavy is loaded."""

from __future__ import annotations

from typing import Literal, get_args

Backend = Literal["cycle", "functional", "reference", "lava"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
COMPARED = 2
"""Samples that ``run`` compares with the reference unless told otherwise."""
RANGE_SAMPLES = 256
"""Calibration samples searched for the extreme input values."""
