"""Kernels work where nothing can be written, and never run old code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

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


DOUBLE = """
from snnc.ir.jit import kernel
@kernel
def double(x):
    return 2 * x
"""
FULL = """
import resource, double
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
print(double.double(21))
"""


def test_a_kernel_runs_where_the_disk_is_full(tmp_path: Path) -> None:
    """A limit on file sizes stands for the disk."""
    (tmp_path / "double.py").write_text(DOUBLE)
    cache = tmp_path / "cache"
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
    )  # fmt: skip
    assert done.stdout.strip() == "42", done.stderr
    assert not [path for path in cache.rglob("*") if path.is_file()]


KERNEL = """
from snnc.ir.jit import inner_kernel
@inner_kernel
def step(x):
    return x + {0}
"""
INTRINSIC = """
from numba.extending import intrinsic
def _step(_context, x):
    def emit(context, builder, signature, args):
        return builder.add(args[0], context.get_constant(signature.return_type, {0}))
    return x(x), emit
step = intrinsic(_step)
"""
NUMBER = "STEP = {0}\n"
CALLS = """
from snnc.ir.jit import kernel
from inner import step
@kernel
def twice(x):
    return step(step(x))
"""
ADDS = """
from snnc.ir.jit import kernel
from inner import STEP
@kernel
def twice(x):
    return x + STEP + STEP
"""


@pytest.mark.parametrize(
    ("inner", "outer"), [(KERNEL, CALLS), (INTRINSIC, CALLS), (NUMBER, ADDS)],
    ids=["kernel", "intrinsic", "number"],
)  # fmt: skip
def test_a_cached_kernel_sees_changes_of_what_it_takes_from_other_files(
    tmp_path: Path, inner: str, outer: str
) -> None:
    (tmp_path / "outer.py").write_text(outer)
    program = "import outer\nprint(outer.twice(5), sum(outer.twice.stats.cache_hits.values()))\n"
    found = []
    for step in (1, 1, 20):
        (tmp_path / "inner.py").write_text(inner.format(step))
        os.utime(tmp_path / "inner.py", (0, 0))  # only its length tells the versions apart
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ,
        )  # fmt: skip
        found.append(done.stdout.strip() or done.stderr)
    assert found == ["7 0", "7 1", "45 0"]


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
