"""The definition of an asynchronous run: one happening after the other, in plain Python and NumPy.

A machine without time steps works on every packet when it arrives, so its result may depend on
the order of packets.  This is that order, for a deployment and its target's times:

1. The host presents the events of logical step ``s`` at time ``s * step``, in rising source id,
   a count as that many packets, one packet after the other, ``host`` units apart at least.
2. A packet that leaves a sender reaches the queue of every core that listens ``hop`` later.
3. A core takes the packet that came first, as soon as it has nothing else to do.  It reads the
   rows of all axons with this source and adds them, entry by entry, in the order they are stored.
   **Every entry is one step of the neuron's normal form** (``snnc.ir.neuron``) with this entry as
   its input: integrate, compare, reset.  That takes ``look_up`` and ``synop`` per entry.
4. Then it sends, in the order of the entries: ``spike`` units for a neuron that fired, ``send``
   for each packet, copies to the cores of a net in the order of its deliveries.
5. A full queue: with ``drops`` the packet that arrives is lost.  Otherwise its copy stays with the
   sender, which does nothing else, until a place in the queue becomes free; places are given to
   those who wait in the order in which they began to, and the lower core first.
6. Of happenings at one time, arrivals come before senders going on; arrivals by core, then in the
   order in which they were sent; senders by core, the host last.

``simulators.cycle`` computes the same with compiled kernels; tests compare the two.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import SimulationError
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Output
from snnc.ir.wire import packet_limit
from snnc.simulators.asynchronous import Costs, check_runnable, costs_of
from snnc.simulators.inputs import check_inputs
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.result import Events, RunResult

ARRIVE, GO_ON = 0, 1


@dataclass(frozen=True, eq=False)
class Trail:
    """What happened in one sample.

    Attributes:
        spikes: (time, source id, count) in the order in which neurons fired.
        taken: by core, packets worked on.
        dropped: by core, packets lost at its queue.
        high_water: by core, most packets that waited.
        end: time of the last happening.
    """

    spikes: list[tuple[int, int, int]]
    taken: list[int]
    dropped: list[int]
    high_water: list[int]
    end: int


def run(deployment: Deployment, inputs: Mapping[str, IntArray]) -> RunResult:
    """Run all samples; a spike belongs to the logical step in whose time the neuron fired.

    Spikes after the time of the last step belong to the last step.

    Raises:
        InputError: as the other simulators.
        UnsupportedError: a population needs time steps.
        TargetError: the target lacks a time.
        SimulationError: senders wait for each other in a ring.
    """
    data, samples, steps = check_inputs(deployment.network, inputs)
    costs = costs_of(deployment)
    trails = [run_sample(deployment, {n: a[k] for n, a in data.items()}) for k in range(samples)]
    network, first = deployment.network, deployment.sources.first
    dense: dict[str, IntArray] = {
        p.name: np.zeros((samples, steps, p.size), np.int64) for p in network.populations
    }
    owner = {i: p.name for p in network.populations
             for i in range(first[p.name], first[p.name] + p.size)}  # fmt: skip
    for sample, trail in enumerate(trails):
        for time, source, count in trail.spikes:
            name = owner[source]
            dense[name][sample, min(time // costs.step, steps - 1), source - first[name]] += count
    shapes = {p.name: p.shape for p in network.populations}
    outputs = {
        o.name: dense[o.inputs[0]].reshape(samples, steps, *shapes[o.inputs[0]])
        for o in network.of_type(Output)
    }
    spikes = {name: Events.from_dense(raster) for name, raster in dense.items()}
    counts = {name: np.abs(raster).sum(axis=(1, 2)) for name, raster in dense.items()}
    return RunResult(outputs, spikes, counts)


def run_sample(deployment: Deployment, values: Mapping[str, IntArray]) -> Trail:
    """Run one sample, inputs [steps, *shape] by name; errors as ``run``."""
    check_runnable(deployment)
    machine = _Machine(deployment, costs_of(deployment))
    return machine.run(values)


class _Membranes:
    """Potentials of all neurons, and the normal form for some of them at once."""

    def __init__(self, populations: tuple[Neuron, ...], first: Mapping[str, int]) -> None:
        self.populations = tuple((PopulationState(p, 1), first[p.name]) for p in populations)

    def steps(self, sources: IntArray, values: IntArray) -> IntArray:
        """Counts that neurons fire when each gets its value, one after the other."""
        counts = np.zeros(sources.size, np.int64)
        for entries in (
            [np.arange(sources.size)] if np.unique(sources).size == sources.size
            else np.arange(sources.size).reshape(-1, 1)
        ):  # fmt: skip
            for state, first in self.populations:
                last = first + state.neuron.size
                mine = entries[(sources[entries] >= first) & (sources[entries] < last)]
                if mine.size:
                    counts[mine] = _step(state, sources[mine] - first, values[mine])
        return counts


def _step(state: PopulationState, index: IntArray, value: IntArray) -> IntArray:
    """Advance these neurons by one step, and leave the others of the population as they are."""
    inputs, touched = np.zeros_like(state.v), np.zeros(state.v.shape, np.bool_)
    inputs.reshape(-1)[index], touched.reshape(-1)[index] = value, True
    before = state.v
    counts: IntArray = state.step(inputs, 0).reshape(-1)[index]
    state.v = np.where(touched, state.v, before)
    return counts


@dataclass
class _Sender:
    """A core, or the host, and what it still has to send.

    Attributes:
        fired: (source id, count) of the packet in work, not yet sent.
        todo: packets of the count that is being sent: (not before, source, value, net).
        copies: cores that have not got their copy of the packet that is leaving.
        packet: that packet, (source, value).
        busy: it works, sends or waits.
    """

    fired: deque[tuple[int, int]] = field(default_factory=deque)
    todo: deque[tuple[int, int, int, int]] = field(default_factory=deque)
    copies: deque[int] = field(default_factory=deque)
    packet: tuple[int, int] = (0, 0)
    busy: bool = False


class _Machine:
    """The state of one sample; methods are named by the rules above."""

    def __init__(self, deployment: Deployment, costs: Costs) -> None:
        self.deployment, self.costs = deployment, costs
        cores = deployment.cores.count
        self.host = cores
        self.membranes = _Membranes(deployment.network.populations, deployment.sources.first)
        self.senders = [_Sender() for _ in range(cores + 1)]
        self.queue: list[deque[tuple[int, int]]] = [deque() for _ in range(cores)]
        self.promised = [0] * cores
        self.waiting: list[list[tuple[int, int]]] = [[] for _ in range(cores)]
        self.heap: list[tuple[int, int, int, int, tuple[int, int]]] = []
        self.sent = self.end = 0
        self.spikes: list[tuple[int, int, int]] = []
        self.taken, self.dropped, self.high = [0] * cores, [0] * cores, [0] * cores
        spike = deployment.target.spike
        self.limit = packet_limit(spike.payload_bits, spike.signed)

    def run(self, values: Mapping[str, IntArray]) -> Trail:
        self._present(values)
        while self.heap:
            time, kind, who, _, packet = heapq.heappop(self.heap)
            self.end = time
            if kind == ARRIVE:
                self._arrive(who, packet, time)
            else:
                self._go_on(who, time)
        stuck = sorted(who for waiting in self.waiting for _, who in waiting)
        if stuck:
            raise SimulationError(
                "senders wait for room in each other's queues in a ring",
                where=self.deployment.network.name,
                found=f"cores {', '.join(map(str, stuck))} wait for ever",
                allowed="layers that do not feed back",
            )
        return Trail(self.spikes, self.taken, self.dropped, self.high, self.end)

    def _present(self, values: Mapping[str, IntArray]) -> None:
        """Rule 1."""
        first, host = self.deployment.sources.first, self.senders[self.host]
        rows: list[tuple[int, int, int]] = []
        for name, array in values.items():
            table = array.reshape(array.shape[0], -1)
            for step, element in zip(*np.nonzero(table), strict=True):
                rows.append((int(step), first[name] + int(element), int(table[step, element])))
        for step, source, value in sorted(rows):
            self._pack(host, step * self.costs.step, source, value)
        self._proceed(self.host, 0)

    def _pack(self, sender: _Sender, due: int, source: int, count: int) -> None:
        """Append the packets of one count."""
        routes, size = self.deployment.routes, abs(count)
        nets = routes.send_net[routes.send_ptr[source] : routes.send_ptr[source + 1]].tolist()
        while nets and size > 0:
            part = min(size, self.limit)
            for net in nets:
                sender.todo.append((due, source, part if count > 0 else -part, net))
            size -= part

    def _schedule(self, time: int, kind: int, who: int, packet: tuple[int, int]) -> None:
        """Rule 6 is the order of these tuples."""
        self.sent += 1
        heapq.heappush(self.heap, (time, kind, who, self.sent, packet))

    def _proceed(self, who: int, now: int) -> None:
        """Rule 4, and the host of rule 1: schedule what comes after ``now``."""
        sender, costs = self.senders[who], self.costs
        while not sender.todo and sender.fired:
            source, count = sender.fired.popleft()
            now += costs.spike
            self.spikes.append((now, source, count))
            self._pack(sender, 0, source, count)
        if who != self.host:
            self._schedule(now + (costs.send if sender.todo else 0), GO_ON, who, (0, 0))
        elif sender.todo:
            self._schedule(max(now, sender.todo[0][0]) + costs.host, GO_ON, who, (0, 0))

    def _go_on(self, who: int, now: int) -> None:
        """The packet in front leaves; without one the core is free."""
        sender, routes = self.senders[who], self.deployment.routes
        if sender.todo:
            _, source, value, net = sender.todo.popleft()
            sender.packet = (source, value)
            part = slice(routes.delivery_ptr[net], routes.delivery_ptr[net + 1])
            sender.copies.extend(routes.delivery_core[part].tolist())
            self._deliver(who, now)
            return
        sender.busy = False
        if self.queue[who]:
            self._take(who, now)

    def _deliver(self, who: int, now: int) -> None:
        """Rule 2: the copies that have not left yet, as far as there is room."""
        sender = self.senders[who]
        while sender.copies:
            core = sender.copies[0]
            if not self.costs.drops:
                if self.promised[core] == self.costs.queue:
                    self.waiting[core].append((now, who))
                    return
                self.promised[core] += 1
            sender.copies.popleft()
            self._schedule(now + self.costs.hop, ARRIVE, core, sender.packet)
        self._proceed(who, now)

    def _arrive(self, core: int, packet: tuple[int, int], now: int) -> None:
        """Rule 5 for a machine that drops, else the end of the queue."""
        if self.costs.drops and len(self.queue[core]) == self.costs.queue:
            self.dropped[core] += 1
            return
        self.queue[core].append(packet)
        if self.senders[core].busy:
            self.high[core] = max(self.high[core], len(self.queue[core]))
        else:
            self._take(core, now)

    def _take(self, core: int, now: int) -> None:
        """Rule 3: work on the packet that came first; its place goes to who waits longest."""
        source, value = self.queue[core].popleft()
        sender, tables = self.senders[core], self.deployment.cores
        sender.busy = True
        self.taken[core] += 1
        if not self.costs.drops:
            self._free(core, now)
        first, last = int(tables.axon_ptr[core]), int(tables.axon_ptr[core + 1])
        entries = 0
        for axon in (first + np.flatnonzero(tables.axon_source[first:last] == source)).tolist():
            _, target, weight = tables.rows.plain(slice(axon, axon + 1))
            slots = int(tables.neuron_ptr[core]) + target.astype(np.int64)
            neurons = tables.neuron_source[slots].astype(np.int64)
            counts = self.membranes.steps(neurons, weight.astype(np.int64) * value)
            fired = np.flatnonzero(counts)
            sender.fired.extend(zip(neurons[fired].tolist(), counts[fired].tolist(), strict=True))
            entries += neurons.size
        self._proceed(core, now + self.costs.look_up + entries * int(self.costs.synop[core]))

    def _free(self, core: int, now: int) -> None:
        """Rule 5: a place in the queue of ``core`` became free."""
        if not self.waiting[core]:
            self.promised[core] -= 1
            return
        chosen = min(self.waiting[core])
        self.waiting[core].remove(chosen)
        sender = self.senders[chosen[1]]
        sender.copies.popleft()
        self._schedule(now + self.costs.hop, ARRIVE, core, sender.packet)
        self._deliver(chosen[1], now)
