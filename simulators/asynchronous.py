"""What every simulator of an asynchronous machine must agree on: times, limits, who may run.

Times are whole *units* of a thousandth of ``execution.cycle_s``, so that the order of two events
never hangs on a rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import TargetError, UnsupportedError
from snnc.ir.neuron import Neuron
from snnc.ir.target import Quantity

RESOLUTION = 1000
"""Units per cycle."""


@dataclass(frozen=True, eq=False)
class Costs:
    """Times in units, and the size of a core's input queue.

    Attributes:
        unit_s: seconds per unit.
        step: from the input of one logical step to that of the next.
        host: per packet of the host.
        look_up: per packet a core takes.
        synop: [cores] per stored synapse of the packet's row.
        spike: per neuron that fires, whatever its count.
        send: per packet a core sends.
        hop: from a sender to the queue of a core.
        queue: packets that wait in front of a core, the one in work not among them.
        drops: a packet that finds a full queue is lost; otherwise its sender waits.
    """

    unit_s: float
    step: int
    host: int
    look_up: int
    synop: IntArray
    spike: int
    send: int
    hop: int
    queue: int
    drops: bool


def costs_of(deployment: Deployment) -> Costs:
    """The numbers of a deployment's target; what nobody published takes no time.

    Raises:
        TargetError: the target is not asynchronous, or says nothing about its clock or queues.
    """
    target = deployment.target
    execution, events = target.execution, target.costs.events
    if execution.sync != "async":
        raise TargetError("the machine has time steps", where=target.id, found=execution.sync,
                          allowed="async")  # fmt: skip
    unit_s = _number(execution.cycle_s, "execution.cycle_s") / RESOLUTION

    def units(kind: str) -> int:
        cost = events.get(kind)  # type: ignore[call-overload]
        latency = None if cost is None else cost.latency
        return 0 if latency is None else round(latency / unit_s)

    slots = deployment.cores.location[:, 2]
    if target.layers is not None and target.layers.synops_per_s:
        speed = np.array(target.layers.synops_per_s)[slots]
        synop = np.round(1.0 / (speed * unit_s)).astype(np.int64)
    else:
        synop = np.full(slots.size, units("synapse_op_sparse"), np.int64)
    return Costs(
        unit_s,
        round(_number(execution.tick_s, "execution.tick_s") / unit_s),
        units("host_in"),
        units("message_in"),
        synop,
        units("spike_generate"),
        units("message_out"),
        units("hop_ew"),
        int(_number(target.noc.receive_packets, "noc.receive_packets")),
        execution.overflow == "drop",
    )


def _number(quantity: Quantity, where: str) -> float:
    if quantity.v is None or not quantity.v > 0:
        raise TargetError(
            "the target does not say a number that an asynchronous machine needs",
            where=where,
            found=quantity.v,
            allowed="a positive number",
        )
    return float(quantity.v)


def check_runnable(deployment: Deployment) -> None:
    """Raise unless every neuron changes only when a packet arrives.

    Raises:
        UnsupportedError: naming the population and what in it needs time steps.
    """
    for neuron in deployment.network.populations:
        problem = _needs_time(neuron)
        if problem:
            raise UnsupportedError(
                "an asynchronous machine has no time step at which this could happen",
                where=neuron.name,
                found=problem,
                allowed="integrate-and-fire neurons without leak and bias",
            )
    held = sorted(
        name for name, code in deployment.schedule.codes.items() if code.kind != "burst"
        or code.pair
    )  # fmt: skip
    if held or deployment.cores.axon_delay.any():
        raise UnsupportedError(
            "an asynchronous machine sends a count as packets, and holds none back",
            where=", ".join(held) or "cores.axon_delay",
            found="a wire code of several ticks or two axons" if held else "a delayed axon",
            allowed="burst",
        )


def _needs_time(neuron: Neuron) -> str:
    if not neuron.leak.is_identity:
        return "a leak"
    for part, there in (
        ("a synaptic current", neuron.current is not None),
        ("a bias", any(term.value.any() for term in neuron.bias)),
        ("a refractory time", neuron.refractory > 0),
        ("an adaptive threshold", neuron.adaptation is not None),
        ("a relative refractory state", neuron.recovery is not None),
        ("an emission table", neuron.emission is not None),
        ("changes of an activation", neuron.delta is not None),
        ("a potential that is read", neuron.emit == "state"),
    ):
        if there:
            return part
    return ""
