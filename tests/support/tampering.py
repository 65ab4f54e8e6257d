"""Deployments with one entry changed, and targets with one field changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.verify import examine
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.target import Target

Change = Callable[[IntArray], None]


def tamper(deployment: Deployment, table: str, change: Change) -> Deployment:
    """The deployment with one of its arrays changed in place of a copy."""
    room, name = table.split(".")
    old = getattr(deployment, room)
    array = np.array(getattr(old, name), np.int64)
    change(array)
    return replace(deployment, **{room: replace(old, **{name: array})})


def put(index: Any, value: Any) -> Change:
    def change(array: IntArray) -> None:
        array[index] = value

    return change


def add(index: Any, value: int) -> Change:
    def change(array: IntArray) -> None:
        array[index] += value

    return change


def modified(target: Target, path: str, value: Any) -> Target:
    """The target with the field at a dotted path replaced."""
    data = target.model_dump(by_alias=True)
    *parents, last = path.split(".")
    inner = data
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return Target.model_validate(data)


def capped(target: Target, path: str, value: int) -> Target:
    return modified(target, path, {"v": value, "ev": "assumed"})


def broken(deployment: Deployment) -> set[str]:
    return set(examine(deployment).broken)
