"""How many bits every accumulator and state needs, against what a target's registers hold.

Sums are bounded element by element, positive and negative weights apart, borders included
(``snnc.compiler.intervals``); states by ``snnc.compiler.quantize.bounds``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from snnc.compiler.intervals import Interval, interval
from snnc.compiler.quantize.bounds import bounds
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, StateRange
from snnc.ir.nodes import Delay, Index, Input, Output
from snnc.ir.target import Target

Verdict = Literal["proven", "clips", "wraps", "needs-timesteps", "not-public", "-"]


@dataclass(frozen=True)
class Width:
    """One register of one node.

    Attributes:
        register: "sum" (one step's input, shifted), "current", "state" or "value".
        low, high: proven bounds, None where there is none without a number of time steps.
        needs: bits in two's complement.
        has: bits of the target's register; None without a target, or not public.
        verdict: "proven" to fit; "clips" or "wraps" where it may exceed the register, which the
            integer network does as well; "needs-timesteps"; "not-public"; "-" without target.
    """

    node: str
    register: Literal["sum", "current", "state", "value"]
    low: int | None
    high: int | None
    needs: int | None
    has: int | None
    verdict: Verdict


def bits(low: int, high: int) -> int:
    """Bits of the narrowest two's complement that holds low..high."""
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1


def widths(
    network: IntegerNetwork, target: Target | None = None, timesteps: int | None = None
) -> tuple[Width, ...]:
    """Every node that computes, in execution order."""
    return tuple(_widths(network, target, timesteps))


def _widths(
    network: IntegerNetwork, target: Target | None, timesteps: int | None
) -> Iterator[Width]:
    memo: dict[str, Interval] = {}
    for node in network.order:
        if isinstance(node, Neuron):
            yield from _neuron(network, node, memo, target, timesteps)
        elif not isinstance(node, Input | Index | Delay | Output):
            low, high = interval(network.node, node.name, network.types, memo)
            yield _width(node.name, "value", int(low.min()), int(high.max()), None, None, target)


def _neuron(
    network: IntegerNetwork,
    node: Neuron,
    memo: dict[str, Interval],
    target: Target | None,
    timesteps: int | None,
) -> Iterator[Width]:
    low, high = interval(network.node, node.inputs[0], network.types, memo)
    found = bounds(node, low, high, timesteps)
    model = None if target is None else target.neuron
    below, above = int(low.min()) << node.input_shift, int(high.max()) << node.input_shift
    has = model.accumulator_bits if model else None
    yield _width(node.name, "sum", below, above, has, None, target)
    if node.current is not None:
        most = found.current
        yield _width(
            node.name, "current", None if most is None else -most, most,
            model.current_bits if model else None, node.current_range, target,
        )  # fmt: skip
    yield _width(
        node.name, "state", *found.state, model.state_bits if model else None,
        node.state_range, target,
    )  # fmt: skip


def _width(
    name: str,
    register: Literal["sum", "current", "state", "value"],
    low: int | None,
    high: int | None,
    has: int | None,
    kept: StateRange | None,
    target: Target | None,
) -> Width:
    needs = None if low is None or high is None else bits(low, high)
    verdict: Verdict = "-"
    if target is None or register == "value":
        pass
    elif has is None:
        verdict = "not-public"
    elif needs is None:
        verdict = "needs-timesteps"
    elif needs <= has:
        verdict = "proven"
    else:
        verdict = "clips" if kept is not None and kept.overflow == "saturate" else "wraps"
    return Width(name, register, low, high, needs, has, verdict)
