"""Recognise the exporter of a file by the numbers it writes (rules in docs/nir.md).

Every exporter makes the unit gain of its framework out of NIR's ``dt / tau * r`` in its own way;
the relation between ``r`` and ``tau`` gives it away.  A guess is always recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snnc.compiler.frontends.nir.graph import Graph
from snnc.ir.arrays import RealArray

STEPS = (1e-4, 1e-3, 1e-2, 1.0)
# torch.fx names the modules of a Sequential _0, _1, ...; spikingjelly exports through it.
_FX_NAME = re.compile(r"_\d+")


@dataclass(frozen=True, eq=False)
class Constants:
    """All time constants and resistances of a file, one entry per distinct pair and population.

    Attributes:
        tau, r: of LI, LIF, CubaLI and CubaLIF (membrane), equally long.
        free: ``r`` of I and IF.
    """

    tau: RealArray
    r: RealArray
    free: RealArray

    @staticmethod
    def of(graph: Graph) -> Constants:
        """Collect them."""
        pairs: list[RealArray] = [np.zeros((2, 0))]
        free: list[RealArray] = [np.zeros(0)]
        for name in graph.of_kind("LI", "LIF", "CubaLI", "CubaLIF"):
            node = graph.nodes[name]
            tau = node.real("tau_mem" if node.kind.startswith("Cuba") else "tau")
            r = node.real("r", 1.0)
            if tau.size == 1 or r.size == 1 or tau.shape == r.shape:
                both = np.stack(np.broadcast_arrays(tau, r)).reshape(2, -1)
                pairs.append(np.unique(both, axis=1))
        for name in graph.of_kind("I", "IF"):
            free.append(np.unique(graph.nodes[name].real("r", 1.0)))
        tau, r = np.concatenate(pairs, axis=1)
        return Constants(tau, r, np.concatenate(free))


def guess(graph: Graph) -> tuple[str, str]:
    """Name of the dialect and the reason."""
    known = Constants.of(graph)
    traced = bool(graph.of_kind("Conv2d", "Affine", "Linear")) and all(
        _FX_NAME.fullmatch(n)
        for n, node in graph.nodes.items()
        if node.kind not in ("Input", "Output")
    )
    if known.tau.size:
        return _guess_leaky(graph, known, traced)
    if not known.free.size:
        return "nir", "no neuron says otherwise"
    if _inverse_step(known.free) is not None:
        return "spikingjelly", f"IF with r = 1/dt = {known.free[0]:g}"
    integrators = [graph.nodes[name] for name in graph.of_kind("IF")]
    if (known.free == 1).all() and integrators:
        if graph.of_kind("SumPool2d"):
            return "sinabs", "IF with r = 1 and SumPool2d"
        if not any(node.has("v_reset") for node in integrators):
            return "sinabs", "IF with r = 1 and no v_reset"
    return "nir", "no known exporter's pattern"


def _guess_leaky(graph: Graph, known: Constants, traced: bool) -> tuple[str, str]:
    tau, r = known.tau, known.r
    if (tau <= 0).any():
        return "nir", "no known exporter's pattern"  # refused later, with the node's name
    dt = _step_where(known, lambda dt: tau * np.exp(-dt / tau) / dt)
    if dt is not None:
        return "rockpool", f"r = tau exp(-dt/tau) / dt with dt {dt:g}"
    dt = _step_where(known, lambda dt: tau / dt)
    if dt is not None:
        if traced:
            return "spikingjelly", f"r = tau/dt with dt {dt:g}, torch.fx names"
        return "snntorch", f"r = tau/dt with dt {dt:g}"
    if (tau > 1).all() and np.allclose(r, 1 - 1 / tau, rtol=1e-5):
        return "spyx", "r = 1 - 1/tau"
    if traced and (r == 1).all() and (tau < 1).all():
        return "spikingjelly", "LIF with r = 1, torch.fx names"
    return "nir", "no known exporter's pattern"


def time_step(graph: Graph, dialect: str, default: float) -> tuple[float, str]:
    """Length of a step and how it was found."""
    known = Constants.of(graph)
    tau, free = known.tau, known.free
    if tau.size and (tau > 0).all():
        if dialect == "rockpool":
            dt = _step_where(known, lambda dt: tau * np.exp(-dt / tau) / dt)
            if dt is not None:
                return dt, "from r = tau exp(-dt/tau) / dt"
        dt = _step_where(known, lambda dt: tau / dt)
        if dt is not None:
            return dt, "from r = tau/dt"
        if (tau >= 1).all():
            return 1.0, "time constants of 1 and more count steps"
    step = _inverse_step(free)
    if step is not None and not tau.size:
        return step, "from r = 1/dt"
    return default, f"default of {dialect}"


def _step_where(known: Constants, formula: Callable[[float], RealArray]) -> float | None:
    """The usual time step for which ``r`` follows the formula in every population."""
    with np.errstate(over="ignore"):  # an absurd time constant fits no step
        for dt in STEPS:
            if np.allclose(known.r, formula(dt), rtol=1e-5, atol=0):
                return dt
    return None


def _inverse_step(free: RealArray) -> float | None:
    """The usual time step below 1 of which every ``r`` of I and IF is the inverse."""
    for dt in STEPS:
        if dt < 1 and free.size and np.allclose(free * dt, 1, rtol=1e-5, atol=0):
            return dt
    return None
