"""Where optional real data lies; absent for most people, and then tests skip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def shared_data() -> Path | None:
    """The folder with real recordings and third-party models, or None."""
    named = os.environ.get("SNNC_SHARED_DATA")
    candidates = [Path(named)] if named else [p / "shared" / "data" for p in ROOT.parents]
    return next((path for path in candidates if path.is_dir()), None)


def require_data(*parts: str) -> Path:
    """Path below the shared data, or skip the test with the reason."""
    base = shared_data()
    if base is None or not base.joinpath(*parts).exists():
        pytest.skip(f"optional data not present: {'/'.join(parts)} (set SNNC_SHARED_DATA)")
    return base.joinpath(*parts)
