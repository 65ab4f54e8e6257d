"""A network that takes no time: what the parts of a chip would need if nothing were in the way.

The same packets pass the same channels as in ``noc`` and ``flit``; only nobody waits.  A tick then
takes as long as the longest sweep or the most work of one receiving core: a lower bound, and what
simple analytical models compute.
"""

from __future__ import annotations

import math

from snnc.ir.jit import inlined, lean_kernel
from snnc.simulators.cycle.ends import (
    DELIVERED,
    HOPS,
    INJECTED,
    LAST,
    Releases,
)
from snnc.simulators.cycle.noc import DELIVERY, NEXT, PORT, NocState
from snnc.simulators.cycle.noc_tables import REACH, ROOT, NocTables


@lean_kernel
def pass_all(noc: NocTables, state: NocState, releases: Releases) -> int:
    """Give all packets of one tick to their cores; returns the units until the host has sent its.

    A core's work does not wait for packets, so ``receive_end`` is the work.
    """
    cores = state.receive_end.size
    state.total[LAST] = 0
    for core in range(cores):
        state.receive_end[core] = 0.0
    for i in range(len(state.shift)):
        state.shift[i] = 0.0
    packets = releases.ptr[len(state.sender)]
    for i in range(packets):
        send = int(releases.send[i])
        _follow(noc, state, noc.send[send, ROOT], noc.send[send, REACH])
    state.total[INJECTED] += packets
    for core in range(cores):
        state.work[core] = state.receive_end[core]
    last = 0.0
    for i in range(releases.ptr[cores], packets):
        last = max(last, releases.time[i])
    return math.ceil(last)


@inlined
def _follow(noc: NocTables, state: NocState, root: int, reach: int) -> None:
    """Walk the tree of one packet, whose nodes lie in the order of their numbers."""
    node, open_nodes = root, 1
    while open_nodes > 0:
        open_nodes -= 1
        for out in range(noc.out_ptr[node], noc.out_ptr[node + 1]):
            port = noc.out[out, PORT]
            state.load[port] += 1
            if noc.out[out, NEXT] >= 0:
                state.total[HOPS] += 1
                open_nodes += 1
            else:
                state.total[DELIVERED] += 1
                core = port - noc.channels
                state.receive_end[core] += noc.service[reach + noc.out[out, DELIVERY]]
        node += 1
