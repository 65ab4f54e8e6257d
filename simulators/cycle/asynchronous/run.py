"""Run a deployment on a machine without time steps, event by event."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.core_tables import AnyCoreTables
from snnc.ir.deployment import Deployment
from snnc.ir.errors import InputError, SimulationError, UnsupportedError
from snnc.ir.nodes import Output
from snnc.simulators.asynchronous import Costs, check_runnable, costs_of
from snnc.simulators.cycle import counting, energy
from snnc.simulators.cycle.asynchronous.kernel import (
    COSTS,
    DONE,
    DROPPED,
    DROPS,
    END,
    FILL,
    HAPPENING,
    HIGH,
    HOP,
    HOST,
    LOGGED,
    LOOK_UP,
    NOW,
    PLACES,
    QUEUE,
    SEND,
    SENDER,
    SPIKE,
    STALLED,
    STEP,
    TAKEN,
    WAITS_FOR,
    WORKED,
    Chip,
    Tables,
    run_sample,
)
from snnc.simulators.cycle.asynchronous.report import AsyncReport
from snnc.simulators.cycle.check import check_deployment
from snnc.simulators.cycle.counting import Activity, Counter, Counts
from snnc.simulators.cycle.energy import KINDS, ROW_KINDS
from snnc.simulators.cycle.noc_tables import Int32, Int64, describe
from snnc.simulators.cycle.program import Layout, Program, build
from snnc.simulators.cycle.result import (
    BusiestCore,
    CycleResult,
    EnergyReport,
    TimingReport,
    Unpriced,
)
from snnc.simulators.inputs import check_inputs
from snnc.simulators.neuron_kernel import State, new_state, reset
from snnc.simulators.result import Events, RunResult

MOST_SYNAPSES = 1 << 29
"""For 4 GiB."""
ROOM = 1 << 12
"""Happenings and spikes there is room for at first."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Star:
    """A deployment flattened for the kernel; nothing in it changes from run to run."""

    deployment: Deployment
    program: Program
    layout: Layout
    counter: Counter
    costs: Costs
    tables: Tables


def load(deployment: Deployment) -> Star:
    """Check a deployment and flatten it; raises as ``run``."""
    check_deployment(deployment)
    check_runnable(deployment)
    costs = costs_of(deployment)
    program, layout = build(deployment)
    machine = describe(deployment)
    counter = counting.counter(deployment, machine, program, layout)
    per_send = np.bincount(layout.reach_send, minlength=layout.send_source.size)
    numbers = np.zeros(COSTS, np.int64)
    for at, value in (
        (STEP, costs.step), (HOST, costs.host), (LOOK_UP, costs.look_up), (SPIKE, costs.spike),
        (SEND, costs.send), (HOP, costs.hop), (QUEUE, costs.queue), (DROPS, costs.drops),
    ):  # fmt: skip
        numbers[at] = value
    tables = Tables(
        program.neurons,
        program.neuron_source,
        deployment.cores.neuron_ptr.astype(np.int64),
        deployment.routes.send_ptr.astype(np.int64),
        np.concatenate([[0], np.cumsum(per_send)]).astype(np.int64),
        layout.reach_core,
        program.reaches.first,
        program.reaches.last,
        *_written_out(deployment.cores),
        program.packets.limit[layout.owner],
        costs.synop.astype(np.int64),
        numbers,
    )
    return Star(deployment, program, layout, counter, costs, tables)


def _written_out(cores: AnyCoreTables) -> tuple[Int64, Int32, Int32]:
    """(synapse_ptr, synapse_target, synapse_weight) of ``Tables``: rows are not shared here."""
    synapses = cores.rows.synapses
    if synapses > MOST_SYNAPSES:
        raise UnsupportedError(
            "the emulation of asynchronous machines writes every synapse out",
            where="core tables",
            found=f"{synapses:,} synapses, {8 * synapses:,} bytes",
            allowed=f"{MOST_SYNAPSES:,} synapses, {8 * MOST_SYNAPSES:,} bytes",
            remedy="run it on the functional simulator: --backend functional",
        )
    ptr, target, weight = cores.rows.plain()
    base = np.repeat(cores.neuron_ptr.astype(np.int32)[cores.axon_core], np.diff(ptr))
    return ptr.astype(np.int64), base + target.astype(np.int32), weight.astype(np.int32)


def run(
    deployment: Deployment,
    inputs: Mapping[str, IntArray],
    record: Collection[str] | None = None,
    *,
    progress: Progress | None = None,
    star: Star | None = None,
) -> CycleResult:
    """Run all samples, each from its reset state and an empty machine.

    Args:
        deployment: on a machine whose ``execution.sync`` is "async".
        inputs: as ``simulators.cycle.run``.
        record: populations whose spikes are returned; None records all.
        progress: called with (samples done, samples) after every sample.
        star: from ``load``.

    Raises:
        InputError, ArtifactError, TargetError: as ``simulators.cycle.run``.
        UnsupportedError: a population needs time steps.
        SimulationError: senders wait for each other in a ring.
    """
    star = star or load(deployment)
    data, samples, steps = check_inputs(deployment.network, inputs)
    if steps > deployment.schedule.timesteps:
        raise InputError(
            "the input is longer than the deployment was compiled for",
            found=f"{steps} steps",
            allowed=f"up to {deployment.schedule.timesteps}",
            remedy=f"compile with --timesteps {steps}",
        )
    runner = _Runner(star, steps)
    for sample in range(samples):
        runner.sample({name: array[sample] for name, array in data.items()})
        if progress is not None:
            progress(sample + 1, samples)
    names = {p.name for p in deployment.network.populations}
    return runner.result(names if record is None else set(record), samples)


class _Runner:
    """Runs samples one after the other and keeps what they did."""

    def __init__(self, star: Star, steps: int) -> None:
        self.star, self.steps = star, steps
        self.state: State = new_state(star.program.neurons)
        self.heap = np.zeros((ROOM, HAPPENING), np.int64)
        self.log = np.zeros((ROOM, 3), np.int64)
        self.spikes: list[tuple[Int64, Int64, Int64]] = []
        self.counts: list[Counts] = []
        self.chips: list[Chip] = []
        self.inputs_end: list[int] = []

    def sample(self, values: Mapping[str, IntArray]) -> None:
        """Run one sample, inputs [steps, *shape] by name."""
        star = self.star
        reset(star.program.neurons, self.state)
        chip = self._chip(self._events(values))
        while run_sample(star.tables, self.state, chip) != DONE:
            self.heap, self.log = _doubled(chip.heap), _doubled(chip.log)
            chip = chip._replace(heap=self.heap, log=self.log)
        self._check_done(chip)
        time, source, count = chip.log[: int(chip.now[LOGGED])].T.copy()
        self.spikes.append((np.minimum(time // star.costs.step, self.steps - 1), source, count))
        self.counts.append(self._count(chip))
        self.chips.append(chip)
        self.inputs_end.append(int(chip.events[:, 0].max(initial=0)) * star.costs.step)

    def _check_done(self, chip: Chip) -> None:
        stuck = np.flatnonzero(chip.senders[:, WAITS_FOR] >= 0)
        if stuck.size:
            ring = ", ".join(f"{who} for core {chip.senders[who, WAITS_FOR]}" for who in stuck)
            raise SimulationError(
                "senders wait for room in each other's queues in a ring",
                where=self.star.deployment.network.name,
                found=f"{int(chip.places[:, FILL].sum())} packets stuck; core {ring}",
                allowed="layers that do not feed back",
                remedy="`snnc verify` tells whether the file was altered",
            )

    def _events(self, values: Mapping[str, IntArray]) -> Int64:
        """[events, 3] step, source id, value, by step, then source id."""
        first = self.star.deployment.sources.first
        columns: list[list[Int64]] = [[], [], []]
        for name, array in values.items():
            table = array.reshape(array.shape[0], -1)
            step, element = np.nonzero(table)
            for column, part in zip(
                columns, (step, first[name] + element, table[step, element]), strict=True
            ):
                column.append(np.asarray(part, np.int64))
        step, source, value = (np.concatenate(column) for column in columns)
        order = np.lexsort((source, step))
        return np.stack([step[order], source[order], value[order]], axis=1)

    def _chip(self, events: Int64) -> Chip:
        tables = self.star.tables
        cores, neurons = tables.synop.size, tables.neuron_source.size

        def zeros(*shape: int) -> Int64:
            return np.zeros(shape, np.int64)

        chip = Chip(
            events,
            zeros(NOW),
            self.heap,
            self.log,
            zeros(cores, int(tables.costs[QUEUE]), 2),
            zeros(cores, PLACES),
            zeros(neurons, 2),
            zeros(cores + 1, SENDER),
            zeros(self.star.deployment.sources.total),
            zeros(neurons),
            zeros(tables.reach_core.size, 2),
            zeros(cores + 1, 3),
            zeros(cores, self.steps),
        )
        chip.senders[:, WAITS_FOR] = -1
        return chip

    def _count(self, chip: Chip) -> Counts:
        """Events of a sample; what was lost at a queue was sent, but neither taken nor read."""
        star, taken = self.star, chip.reaches[:, TAKEN]
        segments = star.program.segment_offset.size
        fired = np.add.reduceat(np.append(chip.spikes, 0), star.program.segment_ptr[:-1])
        quiet = np.zeros(segments, np.int64)
        counts = star.counter.count(Activity(chip.packets, quiet, fired, 0))
        layout, by_layer, by_core = star.layout, counts.by_layer, counts.by_core
        source = layout.send_source[layout.reach_send]
        sender = star.counter.net_sender[star.deployment.routes.send_net[layout.reach_send]]
        for kind, amount, core in (
            ("message_in", taken, layout.reach_core),
            ("hop_ew", chip.packets[source], sender),
        ):
            row = KINDS.index(kind)
            by_layer[row], by_core[row] = 0, 0
            np.add.at(by_layer[row], layout.owner[source], amount)
            np.add.at(by_core[row], core, amount)
        read = star.counter.read(taken)
        for mine, table in zip((by_layer, by_core), read, strict=True):
            for kind in (*ROW_KINDS, energy.ALL_IN):
                mine[KINDS.index(kind)] = table[KINDS.index(kind)]
            mine[KINDS.index("neuron_update")] = table[KINDS.index(energy.ALL_IN)]
        return Counts(by_layer.sum(axis=1), by_layer, by_core, counts.packets)

    def result(self, recorded: Collection[str], samples: int) -> CycleResult:
        """Everything so far."""
        star, deployment = self.star, self.star.deployment
        target, names = deployment.target, star.layout.names
        total = Counts(*(np.sum(column, axis=0) for column in zip(*self.counts, strict=True)))
        by_kind = dict(zip(KINDS, total.total.tolist(), strict=True))
        report = self._report(total)
        timing = self._timing(report)
        price = np.nan_to_num(energy.prices(target.costs))
        watts = target.static_w_per_chip.v
        missing = list(energy.unpriced(target, total.total, timing=True))
        missing = [u for u in missing if not self._timed(u)]
        if watts is None:
            missing.append(Unpriced("static_w_per_chip", "power", deployment.chips))
        return CycleResult(
            self._spikes(recorded, samples),
            target.id,
            samples,
            deployment.schedule.ticks,
            by_kind,
            {
                name: dict(zip(KINDS, total.by_layer[:, i].tolist(), strict=True))
                for i, name in enumerate(names)
            },
            total.by_core,
            by_kind["message_out"] + by_kind["host_in"],
            by_kind["hop_ew"],
            None,
            self._busiest(report),
            EnergyReport(
                target.costs.scope,
                np.array([price @ counts.total for counts in self.counts]),
                {
                    kind: float(price[i] * total.total[i])
                    for i, kind in enumerate(KINDS)
                    if price[i]
                },
                dict(zip(names, (price @ total.by_layer).tolist(), strict=True)),
                price @ total.by_core,
                None if watts is None else report.seconds * watts * deployment.chips,
            ),
            timing,
            0,
            tuple(missing),
            report.notes(),
            None,
            asynchronous=report,
        )

    def _timed(self, entry: Unpriced) -> bool:
        """The time of an operation, and of the comparison in it, is in the core's speed."""
        layers = self.star.deployment.target.layers
        known = layers is not None and bool(layers.synops_per_s)
        inside = entry.kind.startswith("synapse_op_") or entry.kind == "neuron_update"
        return entry.quantity == "latency" and known and inside

    def _report(self, total: Counts) -> AsyncReport:
        star = self.star
        target, unit = star.deployment.target, star.costs.unit_s
        slot = star.deployment.cores.location[:, 2].astype(np.int64)
        limit = np.full(slot.size, np.nan)
        if target.layers is not None and target.layers.synops_per_s:
            limit = np.array(target.layers.synops_per_s)[slot]
        step_s = star.costs.step * unit
        ends = np.array([chip.now[END] for chip in self.chips])
        whole = np.maximum(ends, self.steps * star.costs.step)
        dropped = np.zeros(slot.size, np.int64)
        for chip in self.chips:
            np.add.at(dropped, star.layout.reach_core, chip.reaches[:, DROPPED])
        work = np.sum([chip.work for chip in self.chips], axis=0)
        settled = np.maximum(ends - np.array(self.inputs_end), 0)
        return AsyncReport(
            step_s,
            target.execution.overflow,
            slot,
            tuple(self._held(core) for core in range(slot.size)),
            whole * unit,
            settled * unit,
            total.by_core[KINDS.index(energy.ALL_IN), :-1].copy(),
            np.max([chip.demand.max(axis=1) for chip in self.chips], axis=0) / step_s,
            limit,
            work[:-1, WORKED] * unit,
            work[:, STALLED] * unit,
            np.max([chip.work[:-1, HIGH] for chip in self.chips], axis=0),
            dropped,
        )

    def _timing(self, report: AsyncReport) -> TimingReport:
        cycle_s = self.star.costs.unit_s * 1000
        return TimingReport(
            "star",
            cycle_s,
            report.seconds,
            (report.seconds / cycle_s).reshape(-1, 1),
            0.0,
            {},
            {},
            0,
            0,
            0,
            int(report.high_water.max(initial=0)),
            float(report.stalled.sum() / cycle_s),
        )

    def _held(self, core: int) -> str:
        layout = self.star.layout
        mine = np.unique(layout.segment_owner[layout.segment_core == core])
        return ", ".join(layout.names[i] for i in mine)

    def _busiest(self, report: AsyncReport) -> BusiestCore:
        core = int(report.busy.argmax())
        x, y, slot = (int(v) for v in self.star.deployment.cores.location[core])
        return BusiestCore(core, (x, y, slot), float(report.busy[core]), int(report.synops[core]))

    def _spikes(self, recorded: Collection[str], samples: int) -> RunResult:
        deployment, first = self.star.deployment, self.star.deployment.sources.first
        events, counts, outputs = {}, {}, {}
        shape = (samples, self.steps)
        where = np.repeat(np.arange(samples), [step.size for step, _, _ in self.spikes])
        step, source, count = (np.concatenate(column) for column in zip(*self.spikes, strict=True))
        for population in deployment.network.populations:
            name, size = population.name, population.size
            mine = (source >= first[name]) & (source < first[name] + size)
            key = (where[mine] * self.steps + step[mine]) * size + source[mine] - first[name]
            cells, inverse = np.unique(key, return_inverse=True)
            value = np.zeros(cells.size, np.int64)
            np.add.at(value, inverse.reshape(-1), count[mine])
            some = value != 0
            cells, value = cells[some], value[some]
            sample, at, index = np.unravel_index(cells, (*shape, size))
            counts[name] = np.zeros(samples, np.int64)
            np.add.at(counts[name], sample, np.abs(value))
            if name in recorded:
                events[name] = Events.of(sample, at, index, value)
            for output in deployment.network.of_type(Output):
                if output.inputs[0] == name:
                    dense = np.zeros((*shape, size), np.int64)
                    dense[sample, at, index] = value
                    outputs[output.name] = dense.reshape(*shape, *population.shape)
        return RunResult(outputs, events, counts)


def _doubled(column: Int64) -> Int64:
    return np.concatenate([column, np.zeros_like(column)])
