"""A chip that runs on and on: windows of one endless sample, with time and energy.

A stream is one sample of which only a window is in memory.  The chip is always a little behind its
input: a tick is run when the packets that the host sends beside it are known, and an output comes
``drain`` ticks after the input that it answers.  ``finish`` lets it run until nothing is left.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import InputError, OptionError
from snnc.ir.nodes import Input
from snnc.simulators.cycle.account import Account
from snnc.simulators.cycle.asynchronous.run import Star
from snnc.simulators.cycle.chip import Chip
from snnc.simulators.cycle.logbook import InputPulses, Logbook, host_of, input_pulses
from snnc.simulators.cycle.noc_tables import Int64
from snnc.simulators.cycle.report import Timeline, collect
from snnc.simulators.cycle.run import check_fidelity, load
from snnc.simulators.cycle.timing import Fidelity
from snnc.simulators.inputs import check_inputs
from snnc.simulators.result import RunResult

HORIZON = 1 << 40
"""Steps that a stream may have, as in ``functional.streaming``."""
PULSES, SPIKES = "host", "emitted"
COLUMNS = ("tick", "source", "value")


class ChipStream:
    """A program on its machine; ``advance`` takes the next steps of the input.

    Attributes:
        step: logical steps of the input taken.
        account: time and energy so far.

    Raises:
        OptionError: a machine without ticks.
        SnncError: as ``cycle.run``.
    """

    def __init__(self, deployment: Deployment, window: int, noc: Fidelity = "transaction") -> None:
        """An empty machine whose results come in windows of so many steps."""
        check_fidelity(noc)
        loaded = load(deployment)
        if isinstance(loaded, Star):
            raise OptionError(
                "an asynchronous machine has no windows: its samples are played in one piece",
                where="--backend",
                found=f"cycle on {deployment.target.id}",
                allowed="functional",
            )
        self._deployment, self._window = deployment, window
        schedule = deployment.schedule
        self._chip = Chip.of(deployment, loaded, schedule.timesteps, noc)
        self._chip.reset()
        self._drain = schedule.ticks - schedule.period * schedule.timesteps
        inputs = deployment.network.of_type(Input)
        self._ahead = min((schedule.offset.get(node.name, 0) for node in inputs), default=0)
        self._largest = max((max(abs(n.type.low), abs(n.type.high)) for n in inputs), default=0)
        offsets = [schedule.offset.get(name, 0) for name in self._chip.layout.names]
        self._offset = np.array(offsets, np.int64)[self._chip.layout.owner]
        nothing = np.zeros(0, np.int64)
        self._pulses = InputPulses(nothing, nothing, nothing)
        self._spikes = (nothing, nothing, nothing)
        self._stray = 0
        self.step = 0
        self.account = Account()

    @property
    def tick(self) -> int:
        """The next tick: of all before, what the host sends beside them is known."""
        return self._known(self.step)

    def advance(self, inputs: Mapping[str, IntArray]) -> list[RunResult]:
        """Take the next steps: [1, steps, *shape] of every input.

        Returns:
            The windows that are complete by then; steps are numbered from 0 in each.

        Raises:
            InputError: an input is missing, misshapen or out of its type's range, or the stream is
                longer than ``HORIZON``.
            SimulationError: the routing deadlocks.
        """
        data, _, steps = check_inputs(self._deployment.network, inputs)
        if self.step + steps > HORIZON:
            raise InputError("the stream is too long", found=self.step, allowed=HORIZON)
        new = input_pulses(self._deployment, data, 0, self.step)
        both = zip(self._pulses, new, strict=True)
        self._pulses = InputPulses(*(np.concatenate(pair) for pair in both))
        begin, done = self.tick, self._delivered()
        self.step += steps
        self._run(begin, self.tick, HORIZON)
        return self._windows(done, self._delivered())

    def finish(self) -> list[RunResult]:
        """The input is over: run until its last outputs are there.

        Returns:
            The windows that were not complete; the last one may be shorter.
        """
        period, done = self._deployment.schedule.period, self._delivered()
        self._run(self.tick, period * self.step + self._drain, self.step)
        return self._windows(done, -(-self.step // self._window))

    def _known(self, step: int) -> int:
        """Ticks that can be run, and belong to them, when so many steps of the input are known."""
        return max(0, self._deployment.schedule.period * step + min(self._ahead - 1, self._drain))

    def _delivered(self) -> int:
        """Windows whose last step is through the chip."""
        steps = (self.tick - self._drain) // self._deployment.schedule.period
        return max(0, min(steps, self.step) // self._window)

    def _run(self, begin: int, end: int, steps: int) -> None:
        """Ticks from ``begin`` until ``end``, function and time."""
        if begin == end or not self.step:
            return
        chip, layout = self._chip, self._chip.layout
        timeline = Timeline.empty(layout, chip.machine, 1, end - begin, timing=True, trace=False)
        timeline.parts[0, 0] = np.nan
        host = host_of(self._pulses, begin, end - begin + 1)
        spikes: list[tuple[Int64, ...]] = [self._spikes]
        activity = chip.activity()
        if begin == 0:
            chip.load(0, host, timeline)
        tick = begin
        while tick < end:
            first = tick
            tick = chip.advance(host, first, end, steps, activity)
            ptr, room = chip.log.emit_ptr[: tick - first + 1], chip.log.emission
            at = first + np.repeat(np.arange(tick - first), np.diff(ptr))
            source = room.source[: ptr[-1]].astype(np.int64)
            spikes.append((at, source, room.value[: ptr[-1]].copy()))
            chip.time(0, host, first, tick, timeline, begin)
        self._spikes = tuple(np.concatenate(column) for column in zip(*spikes, strict=True))  # type: ignore[assignment]
        later = self._pulses.tick >= end
        self._pulses = InputPulses(*(column[later] for column in self._pulses))
        counts = chip.counter.count(activity._replace(ticks=end - begin))
        timeline.note_sample(0, counts, chip.stray - self._stray, end - begin)
        self._stray = chip.stray
        nothing = RunResult({}, {}, {})
        self.account.add(collect(self._deployment, chip.counter, chip.clock, timeline, nothing))

    def _windows(self, first: int, last: int) -> list[RunResult]:
        """Results of the windows from ``first`` on, which are complete."""
        schedule, names = self._deployment.schedule, self._deployment.network.populations
        recorded = frozenset(population.name for population in names)
        found = []
        for number in range(first, last):
            begin = number * self._window
            end = min(begin + self._window, self.step)
            tick, source, value = self._spikes
            mine = (tick - self._offset[source]) // schedule.period < end
            book = Logbook(self._deployment, self._chip.layout, 1, end - begin)
            at = tick[mine] - schedule.period * begin
            book.take(0, at, source[mine].astype(np.int32), value[mine])
            self._spikes = (tick[~mine], source[~mine], value[~mine])
            found.append(book.result(recorded))
        return found

    def state(self) -> dict[str, AnyArray]:
        """Everything that the next ticks depend on; the arrays are not copies."""
        chip = self._chip
        found: dict[str, AnyArray] = {"ring": chip.ring, "stray": chip.log.done[1:]}
        for part in (chip.state, chip.wires):
            found |= {f"cores.{name}": getattr(part, name) for name in part._fields}
        if chip.clock is not None:
            found |= {f"network.{name}": each for name, each in chip.clock.kept().items()}
        for name, columns in ((PULSES, self._pulses), (SPIKES, self._spikes)):
            found |= {f"{name}.{c}": each for c, each in zip(COLUMNS, columns, strict=True)}
        return found

    def restore(self, step: int, state: Mapping[str, AnyArray], where: str) -> None:
        """Go on from a state that nobody vouches for.

        Raises:
            InputError: it is not a state of this program on this machine.
        """
        mine = self.state()
        for name, array in mine.items():
            given = state.get(name)
            free = name.startswith((PULSES, SPIKES))
            if given is None or given.dtype != array.dtype or given.ndim != array.ndim:
                raise _foreign(where, f"the array {name}")
            if not free and given.shape != array.shape:
                raise _foreign(where, f"the array {name}")
        if not 0 <= step < HORIZON:
            raise _foreign(where, f"step {step}")
        pulses, spikes = (tuple(state[f"{name}.{c}"] for c in COLUMNS) for name in (PULSES, SPIKES))
        self.step = step
        sources = self._deployment.sources.total
        first = int(np.count_nonzero(self._chip.layout.owner < self._chip.layout.inputs))
        self._check_list(PULSES, pulses, (0, first), self.tick, where)
        if pulses[2].size and int(np.abs(pulses[2]).max()) > self._largest:
            raise _foreign(where, f"{PULSES}.value out of range")
        self._check_list(SPIKES, spikes, (first, sources), 0, where)
        steps = (spikes[0] - self._offset[spikes[1]]) // self._deployment.schedule.period
        low = self._delivered() * self._window
        if steps.size and (int(steps.min()) < low or int(spikes[0].max()) >= self.tick):
            raise _foreign(where, f"{SPIKES}.tick out of range")
        network = {name.removeprefix("network."): state[name] for name in mine
                   if name.startswith("network.")}  # fmt: skip
        if self._chip.clock is not None and not self._chip.clock.take_up(network):
            raise _foreign(where, "the network-on-chip out of range")
        for name, array in mine.items():
            if name.startswith(("cores.", "ring", "stray")):
                array[:] = state[name]
        self._pulses, self._spikes = InputPulses(*pulses), (spikes[0], spikes[1], spikes[2])
        self._stray = self._chip.stray

    def _check_list(
        self,
        name: str,
        columns: tuple[AnyArray, ...],
        source: tuple[int, int],
        tick: int,
        where: str,
    ) -> None:
        if len({column.size for column in columns}) != 1 or columns[0].ndim != 1:
            raise _foreign(where, f"{name} of several lengths")
        if not columns[0].size:
            return
        low, high = int(columns[1].min()), int(columns[1].max())
        if low < source[0] or high >= source[1]:
            raise _foreign(where, f"{name}.source out of range")
        most = self._deployment.schedule.period * (self.step + 1) + self._drain + self._ahead
        if int(columns[0].min()) < tick or int(columns[0].max()) > most:
            raise _foreign(where, f"{name}.tick out of range")


def _foreign(where: str, found: str) -> InputError:
    return InputError(
        "the checkpoint is not of this program",
        where=where,
        found=found,
        remedy="resume with the artifact that wrote it, or start without --resume",
    )
