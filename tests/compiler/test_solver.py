from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, signal, time
from ortools.sat.python import cp_model
from snnc.compiler.solver import new_solver
# A shell starts background jobs with SIGINT ignored, and Python keeps that.
signal.signal(signal.SIGINT, signal.default_int_handler)
model = cp_model.CpModel()
model.maximize(model.new_bool_var(""))
assert new_solver().solve(model) == cp_model.OPTIMAL
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    print("python noticed")
"""


def test_ctrl_c_still_reaches_python_after_the_solver_ran() -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=600, check=False
    )
    assert found.stdout == "python noticed\n", found
