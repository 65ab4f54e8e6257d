"""Where Lava is for the tests, and what a run of it must not leave behind."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import pytest

from snnc.backends.lava.environment import candidates

MARK = "SNNC_TEST_MARK"


def require_lava() -> Path:
    """The interpreter that has Lava, or skip; under $SNNC_REQUIRE_LAVA, as in CI, fail."""
    found = candidates()
    if not found:
        if os.environ.get("SNNC_REQUIRE_LAVA"):
            pytest.fail("SNNC_REQUIRE_LAVA is set and no interpreter has lava-nc")
        pytest.skip("lava-nc is not installed: snnc setup lava, or set SNNC_LAVA_PYTHON")
    return found[0][1]


class Leftovers:
    """Processes that inherited a mark from here, and new shared memory of snnc's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mark = uuid.uuid4().hex
        monkeypatch.setenv(MARK, self.mark)

    def processes(self) -> list[int]:
        """Process ids that carry the mark; this process got it too late to be among them."""
        wanted = f"{MARK}={self.mark}".encode()
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and wanted in _environment(entry)
        ]

    def shared_memory(self) -> list[str]:
        """Segments of runs of this process."""
        found = Path("/dev/shm").glob(f"snnclava{os.getpid()}x*")
        return [path.name for path in found]

    def check(self) -> None:
        """Nothing is left; a killed process needs a moment to disappear, more on a busy machine."""
        end = time.monotonic() + 300
        while (self.processes() or self.shared_memory()) and time.monotonic() < end:
            time.sleep(0.1)
        assert self.processes() == []
        assert self.shared_memory() == []


def _environment(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes()
    except OSError:
        return b""
