"""An empty cycle-by-cycle network for a deployment: ``flit.FlitState``."""

from __future__ import annotations

import numpy as np

from snnc.ir.deployment import Deployment
from snnc.ir.errors import TargetError
from snnc.simulators.cycle.ends import COUNTERS
from snnc.simulators.cycle.flit import (
    CAPACITY,
    CONTENDERS,
    ENTRIES,
    INPUT,
    LAST_QUEUE,
    LATENCY,
    PLACE,
    RANK,
    SPACING,
    FlitState,
)
from snnc.simulators.cycle.noc_tables import (
    Buffers,
    Int64,
    Machine,
    NocTables,
    contenders,
    input_routers,
    known,
)

MOST_LANES = 16
MOST_BUCKETS = 4096


def new_state(
    deployment: Deployment, machine: Machine, noc: NocTables, buffers: Buffers
) -> tuple[NocTables, FlitState]:
    """Tables with room for the virtual channels in event keys, and the empty network.

    Args:
        deployment, machine: as for ``noc_tables.build``, which made
        noc, buffers: sizes and speeds without virtual channels.

    Raises:
        TargetError: ``noc.virtual_channels`` is not a whole number from 1 to 16, or less than
            the classes that the routes use.
    """
    lanes = _lanes(deployment)
    ports, senders = buffers.latency.size, machine.senders
    cores = ports - noc.channels
    copies = np.where(np.arange(buffers.capacity.size) < noc.channels, lanes, 1)
    queue = _queues(deployment, machine, buffers, copies)
    codes = len(queue) + ports + senders + cores
    farthest = int(max(buffers.latency.max(initial=1), noc.interval))
    wheel = min(1 << farthest.bit_length(), MOST_BUCKETS)
    port = zeros(ports, 9)
    port[:, LATENCY], port[:, SPACING] = buffers.latency, buffers.spacing
    port[:, CONTENDERS] = contenders(deployment, machine, copies)
    inputs = zeros(copies.size, 2)
    inputs[:, LAST_QUEUE] = -1
    outputs = int(np.diff(noc.out_ptr).max(initial=1))
    state = FlitState(
        lanes=lanes,
        share=lanes // noc.lanes,
        heap=zeros(len(queue) + senders + cores + 1),
        queue=queue,
        sent=zeros(len(queue), outputs),
        entry=zeros(int(queue[:, CAPACITY].sum()), 3),
        port=port,
        input=inputs,
        active=zeros(len(queue)),
        touched=zeros(ports),
        wheel=np.full(wheel, -1, np.int64),
        length=zeros(3),
        sender=zeros(senders, 2),
        shift=np.zeros(senders),
        core=zeros(cores, 3),
        received=zeros(cores * noc.receive_capacity, 2),
        receive_end=np.zeros(cores),
        work=np.zeros(cores),
        load=zeros(ports),
        total=zeros(COUNTERS),
    )
    return noc._replace(bits=codes.bit_length()), state


def _lanes(deployment: Deployment) -> int:
    """Virtual channels per channel."""
    number = known(deployment.target.noc.virtual_channels, "noc.virtual_channels")
    if not (number.is_integer() and number <= MOST_LANES):
        raise TargetError(
            "a channel has a whole number of virtual channels",
            where="noc.virtual_channels",
            found=number,
            allowed=f"1 to {MOST_LANES}",
        )
    if number < deployment.routes.lanes:
        raise TargetError(
            "the routes need more virtual channels",
            where="noc.virtual_channels",
            found=number,
            allowed=f"at least {deployment.routes.lanes}",
        )
    return int(number)


def zeros(*shape: int) -> Int64:
    """Integers."""
    return np.zeros(shape, np.int64)


def _queues(deployment: Deployment, machine: Machine, buffers: Buffers, copies: Int64) -> Int64:
    """Rows of ``FlitState.queue``; turns at a router are in the order of queues."""
    queue = zeros(int(copies.sum()), 9)
    queue[:, INPUT] = np.repeat(np.arange(copies.size), copies)
    queue[:, CAPACITY] = buffers.capacity[queue[:, INPUT]]
    queue[1:, ENTRIES] = np.cumsum(queue[:-1, CAPACITY])
    queue[:, PLACE] = -1
    router = input_routers(deployment, machine)[queue[:, INPUT]]
    order = np.argsort(router, kind="stable")
    first = np.searchsorted(router[order], router[order])
    queue[order, RANK] = np.arange(order.size) - first
    return queue
