"""Small placement problems."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from snnc.backends.targets import load
from snnc.compiler.place import watch
from snnc.compiler.place.problem import Problem, sites_of
from snnc.compiler.traffic import Traffic
from snnc.ir.arrays import IntArray
from snnc.ir.target import Target
from snnc.ir.topology import mesh_of


def strike_after(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit of the next search strikes when it has looked at the clock that often."""
    moments = itertools.chain([0.0] * (1 + looks), itertools.repeat(1e12))
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=moments.__next__))


def toy(**topology: object) -> Target:
    data = load("toy-mesh").model_dump(by_alias=True)
    data["topology"] |= topology
    return Target.model_validate(data)


def problem_of(target: Target, traffic: Traffic, chips: int = 1) -> Problem:
    mesh = mesh_of(target, chips)
    host = mesh.router(*target.topology.host_router)
    return Problem.of(traffic, sites_of(target, mesh), host)


def unicast(cores: int, edges: list[tuple[int, int, float]]) -> Traffic:
    sender, dest, rate = (np.array(column) for column in zip(*edges, strict=True))
    nothing = np.zeros(0, np.int64)
    return Traffic(
        cores, sender.astype(np.int64), rate.astype(float), np.arange(len(edges) + 1),
        dest.astype(np.int64), nothing, nothing,
    )  # fmt: skip


def multicast(cores: int, nets: list[tuple[int, list[int], float]]) -> Traffic:
    sender = np.array([n[0] for n in nets])
    dest_ptr = np.cumsum([0, *(len(n[1]) for n in nets)])
    dest = np.array([d for n in nets for d in n[1]])
    nothing = np.zeros(0, np.int64)
    rate = np.array([n[2] for n in nets], float)
    return Traffic(cores, sender, rate, dest_ptr, dest, nothing, nothing)


def is_legal(problem: Problem, site: IntArray) -> bool:
    return (
        site.size == problem.cores
        and np.unique(site).size == site.size
        and 0 <= site.min(initial=0) <= site.max(initial=0) < problem.sites.count
    )
