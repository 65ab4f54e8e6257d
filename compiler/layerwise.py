"""Machines on which a core holds one whole layer: which core gets which, exactly.

Cores differ in memory and speed, so this is a matching with capacities.  CP-SAT decides whether
one exists and takes the one whose busiest core is least busy, then the one with the least sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from snnc.backends.targets.expression import evaluate
from snnc.compiler.partition import Partition
from snnc.compiler.partition.wiring import Wiring
from snnc.compiler.place import Placement, Zones
from snnc.compiler.solver import new_solver
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.errors import CapacityError, CompilerBugError, OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.layers import Layer, layers_of
from snnc.ir.target import Layers, Target

BoolArray = npt.NDArray[np.bool_]
SCALE = 1_000_000
"""Load of the busiest layer on its slowest core, in the solver's integers."""

Usage = dict[str, tuple[IntArray, IntArray]]
"""By memory: words a layer takes, and words of the core it is on."""


def one_core_each(wiring: Wiring) -> Partition:
    """Every population on a core of its own, neurons in order."""
    sizes = [p.size for p in wiring.populations]
    core = np.repeat(np.arange(len(sizes)), sizes)
    report = {
        "cores": len(sizes),
        "cores_lower_bound": len(sizes),
        "cores_bound_by": "one layer per core",
        "clusters": len(sizes),
        "selection": "one layer per core",
        "packing": "one layer per core",
        "populations": [
            {"name": p.name, "shape": list(p.shape), "clusters": 1, "blocks": []}
            for p in wiring.populations
        ],
        "unchecked": [],
    }
    return Partition(core, np.arange(core.size), len(sizes), report)


def place_layers(
    network: IntegerNetwork,
    target: Target,
    wiring: Wiring,
    seed: int = 0,
    zones: Zones | None = None,
) -> tuple[Placement, Usage]:
    """Give every layer a core that holds it.

    Args:
        network: legal for the target, whose ``layers`` are not None.
        target: one router, whose cores' memories are in ``layers``.
        wiring: expected packets, from which the load of every layer follows.
        seed: of the solver.
        zones: slots that pinned layers may have (sites are the cores in the order of slots).

    Raises:
        CapacityError: no assignment exists; the text says which layer fits which cores.
        OptionError: one would exist without the pins.
    """
    rules = target.layers
    assert rules is not None
    layers = layers_of(network)
    use = {name: _use(layers, resource.use) for name, resource in rules.resources.items()}
    topology = target.topology
    slots = range(topology.cores_per_router)
    alive = [slot for slot in slots if (0, 0, slot) not in topology.defects]
    alive = alive[: topology.usable_cores]
    fits = np.zeros((len(layers), len(slots)), bool)
    fits[:, alive] = True
    for name, resource in rules.resources.items():
        fits &= use[name][:, None] <= np.array(resource.capacity)[None]
    load = _loads(wiring, rules, fits.shape[1])
    pinned = fits.copy()
    if zones is not None:
        for layer in zones.held:
            pinned[layer, alive] &= zones.allowed[zones.zone[layer]]
    slot = _assign(pinned, load, seed)
    if slot is None and zones is not None and _assign(fits, load, seed) is not None:
        raise _pins_too_tight(layers, fits, pinned, zones.held)
    if slot is None:
        raise _no_room(target, layers, fits, use)
    usage = {n: (use[n], np.array(r.capacity)[slot]) for n, r in rules.resources.items()}
    location = np.zeros((len(layers), 3), np.int64)
    location[:, 2] = slot
    chosen = float(load[np.arange(len(layers)), slot].max(initial=0.0))
    router = np.zeros(len(layers), np.int64)
    return Placement(location, router, chosen, chosen, "CP-SAT, one layer per core", True), usage


def _use(layers: Sequence[Layer], text: str) -> IntArray:
    return np.array([int(evaluate(text, layer.sizes)) for layer in layers], np.int64)


def _loads(wiring: Wiring, rules: Layers, slots: int) -> RealArray:
    """[layers, slots] seconds per sample that a layer would keep a core busy (operations where
    nobody publishes the speed)."""
    operations = [float(fanin.lengths @ wiring.rate[fanin.source]) for fanin in wiring.fanin]
    speed = np.array(rules.synops_per_s or (1.0,) * slots)
    load: RealArray = np.array(operations).reshape(-1, 1) / speed
    return load


def _assign(fits: BoolArray, load: RealArray, seed: int) -> IntArray | None:
    """[layers] slot of every layer; None when there is no assignment."""
    model = cp_model.CpModel()
    layers, slots = fits.shape
    here = [[model.new_bool_var("") if fits[i, k] else None for k in range(slots)]
            for i in range(layers)]  # fmt: skip
    for row in here:
        model.add_exactly_one([v for v in row if v is not None])
    for column in zip(*here, strict=True):
        model.add_at_most_one([v for v in column if v is not None])
    cost = np.ceil(load * (SCALE / max(float(load.max(initial=0.0)), 1e-300))).astype(np.int64)
    top = model.new_int_var(0, SCALE, "")
    taken = [sum(int(c) * v for c, v in zip(costs, row, strict=True) if v is not None)
             for costs, row in zip(cost, here, strict=True)]  # fmt: skip
    for term in taken:
        model.add(top >= term)
    # The sum of all loads is below layers x SCALE, so the busiest core counts first.
    model.minimize(top * (layers * SCALE + 1) + sum(taken))
    solver = new_solver(seed)
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return None
    if status != cp_model.OPTIMAL:
        raise CompilerBugError("no proof of an assignment", found=solver.status_name(status))
    return np.array([
        next(k for k, v in enumerate(row) if v is not None and solver.boolean_value(v))
        for row in here
    ], np.int64)  # fmt: skip


def _pins_too_tight(
    layers: Sequence[Layer], fits: BoolArray, pinned: BoolArray, held: IntArray
) -> OptionError:
    """The layers fit the cores, but not with these pins."""
    wrong = [i for i in held if not pinned[i].any()]
    where = [str(layers[i].population) for i in (wrong or held)]
    cores = "; ".join(
        f"{layers[i].population} fits core {', '.join(map(str, np.flatnonzero(fits[i])))}"
        for i in (wrong or held)
    )
    return OptionError(
        "a layer does not fit the core it is pinned to"
        if wrong
        else "with these pins the layers do not fit the cores",
        where=f"--pin {', '.join(where)}",
        found=", ".join(f"core {k}" for i in held for k in np.flatnonzero(pinned[i])) or "no core",
        allowed=cores,
        remedy="pin to a core with more memory, or leave the pin out",
    )


def _no_room(
    target: Target,
    layers: Sequence[Layer],
    fits: BoolArray,
    use: dict[str, IntArray],
) -> CapacityError:
    """Names the layers that fit nowhere, or else all of them with the cores they could have."""
    cores = int(fits.any(axis=0).sum()) if len(fits) else 0
    lonely = [i for i in range(len(layers)) if not fits[i].any()]
    described = []
    for i in lonely or range(len(layers)):
        need = ", ".join(f"{use[name][i]} of {name}" for name in use)
        where = ", ".join(map(str, np.flatnonzero(fits[i]))) or "none"
        described.append(f"{layers[i].population} ({need}): fits core {where}")
    rules = target.layers
    assert rules is not None
    sizes = "; ".join(f"{n} {', '.join(map(str, r.capacity))}" for n, r in rules.resources.items())
    problem = "a layer fits no core" if lonely else (
        f"{len(layers)} layers do not fit {cores} cores at once, one layer per core"
    )  # fmt: skip
    return CapacityError(
        problem,
        where=target.id,
        found="; ".join(described),
        allowed=f"by core: {sizes}",
        remedy="train a network with fewer or smaller layers, or choose another target",
    )
