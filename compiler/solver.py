"""The one way the compiler sets up its constraint solver."""

from __future__ import annotations

from ortools.sat.python import cp_model


def new_solver(seed: int = 0) -> cp_model.CpSolver:
    """CP-SAT with one worker and a fixed seed: the same answer every time.

    CP-SAT's own Ctrl-C handler stays off: it leaves the process with the system's default action,
    so that a later Ctrl-C would kill Python before half-written files are removed.
    """
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.catch_sigint_signal = False
    return solver
