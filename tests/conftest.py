"""Settings for every test: nothing depends on the clock, the terminal, or on chance in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator

# Before NumPy is imported: sums are taken in the same order on any number of cores, and threads
# do not wait for each other over small matrices, which is what most of their time went into.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is slow at random moments; correctness tests do not measure time.  In CI every run
# tries the same examples, so that a failure is of the change; elsewhere each run tries others.
settings.register_profile(
    "snnc",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("snnc")

# What the command line prints has the width and the colours of no terminal.
for name in ("COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR", "PY_COLORS", "TTY_COMPATIBLE"):
    os.environ.pop(name, None)

PATIENCE = 1e6


@pytest.fixture(scope="session", autouse=True)
def _patient() -> Iterator[None]:
    """Time limits of searches are so long that only the work limits end them, on any machine."""
    from snnc.compiler.place.watch import Progress, Watch, silent

    usual = Watch.__init__

    def patient(self: Watch, time_limit_s: float, progress: Progress = silent) -> None:
        usual(self, PATIENCE * time_limit_s, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watch, "__init__", patient)
        yield
