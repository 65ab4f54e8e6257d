"""Kernels work where nothing can be written, too."""

from __future__ import annotations

import os
import subprocess
import sys

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
