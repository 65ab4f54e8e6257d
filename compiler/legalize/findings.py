"""Verdicts on nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from snnc.ir.integer_network import IntegerNode
from snnc.ir.network import RealNode

Kind = Literal["ok", "assumed", "refused"]


@dataclass(frozen=True)
class Finding:
    """Verdict on one property of one node; ``operator`` is the node's class."""

    node: str
    operator: str
    kind: Kind
    reason: str
    remedy: str = ""


def refused(node: RealNode | IntegerNode, reason: str, remedy: str) -> Finding:
    """The target cannot compute the node."""
    return Finding(node.name, type(node).__name__, "refused", reason, remedy)


def assumed(node: RealNode | IntegerNode, reason: str) -> Finding:
    """It can, if what the description leaves open is as stated."""
    return Finding(node.name, type(node).__name__, "assumed", reason)
