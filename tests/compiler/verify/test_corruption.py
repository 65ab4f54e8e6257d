"""No single wrong number anywhere in the tables goes unnoticed, and the checker stands alone."""

import ast
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from support.deployments import small_deployment

from snnc.backends.targets import load
from snnc.compiler import verify as package
from snnc.compiler.verify import examine
from snnc.ir.deployment import Deployment

# How a row is stored costs memory but changes nothing else.
NEUTRAL = {"axon_encoding"}
TABLES = [
    *(("cores", f"{name}") for name in
      ("location", "neuron_ptr", "neuron_source", "axon_ptr", "axon_source", "axon_delay",
       "axon_sign", "synapse_ptr", "synapse_target", "synapse_weight")),
    *(("routes", f"{name}") for name in
      ("net_core", "branch_ptr", "branch_router", "branch_parent", "delivery_ptr",
       "delivery_branch", "delivery_core", "send_ptr", "send_net", "branch_lane")),
    ("certificate", "channels"),
]  # fmt: skip


@pytest.fixture(scope="module", params=["toy-mesh", "loihi1"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    honest = small_deployment(load(request.param))
    assert examine(honest).ok
    return honest


def test_the_list_of_tables_is_complete(deployment: Deployment) -> None:
    present = {
        (room, field.name)
        for room in ("cores", "routes", "certificate")
        for field in fields(getattr(deployment, room))
        if isinstance(getattr(getattr(deployment, room), field.name), np.ndarray)
    }
    assert present - {("cores", name) for name in NEUTRAL} == set(TABLES)


@pytest.mark.parametrize(("room", "name"), TABLES)
def test_a_random_corruption_is_always_noticed(
    deployment: Deployment, room: str, name: str
) -> None:
    rng = np.random.default_rng(len(name))
    old = getattr(deployment, room)
    table = getattr(old, name)
    for _ in range(25):
        array = np.array(table, np.int64)
        flat = array.reshape(-1)
        entry = int(rng.integers(flat.size))
        values = [int(table.min()) - 1, int(table.max()) + 1, flat[entry] + 1, flat[entry] - 1]
        value = int(rng.choice([*values, *rng.integers(table.min(), table.max() + 1, 4)]))
        if value == flat[entry]:
            continue
        flat[entry] = value
        changed = replace(deployment, **{room: replace(old, **{name: array})})
        if name == "location" and same_router(deployment, changed):
            continue
        assert not examine(changed).ok, (entry, value)


def same_router(a: Deployment, b: Deployment) -> bool:
    """A move to a free slot of the same router is another, equally good placement."""
    location = b.cores.location
    slots = b.target.topology.cores_per_router
    distinct = len(np.unique(location, axis=0)) == len(location)
    legal = bool(((location[:, 2] >= 0) & (location[:, 2] < slots)).all())
    return bool((a.cores.location[:, :2] == location[:, :2]).all()) and distinct and legal


def test_the_checker_imports_nothing_of_the_mapper() -> None:
    mapper = ("partition", "place", "route", "assemble", "map", "retime", "pipeline")
    forbidden = tuple(f"snnc.compiler.{name}" for name in mapper)
    for path in Path(str(package.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            for module in modules:
                assert not module.startswith(forbidden), (path.name, module)
