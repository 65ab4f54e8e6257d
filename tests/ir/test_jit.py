"""Kernels work where nothing can be written, and never run old code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba

from snnc.ir.jit import compile_seconds

PROGRAM = """
from numba.core import caching
caching.CacheImpl._locator_classes = []          # no folder can be written
from snnc.ir.jit import kernel
def double(x):
    return 2 * x
print(kernel(double)(21))
"""


def test_a_kernel_runs_where_no_cache_folder_is_writable() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=os.environ
    )
    assert done.stdout.strip() == "42", done.stderr


def test_a_cached_kernel_sees_changes_of_those_it_calls_in_other_files(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner.py", tmp_path / "outer.py"
    decorated = "from snnc.ir.jit import {0}\n{1}\n@{0}\ndef {2}(x):\n    return {3}\n"
    outer.write_text(decorated.format("kernel", "from inner import step", "twice", "step(step(x))"))
    program = "import outer; print(outer.twice(5))"
    found = []
    for body in ("x + 1", "x + 20"):
        inner.write_text(decorated.format("inner_kernel", "", "step", body))
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ,
        )  # fmt: skip
        found.append(done.stdout.strip() or done.stderr)
    assert found == ["7", "45"]


def test_only_compiling_counts_as_time_to_compile() -> None:
    @numba.njit
    def inner(x: int) -> int:
        return x + 1

    @numba.njit
    def outer(x: int) -> int:
        return int(inner(x)) + 1

    before = compile_seconds()
    assert outer(5) == 7
    after = compile_seconds()
    assert after > before
    assert outer(6) == 8
    assert compile_seconds() == after
