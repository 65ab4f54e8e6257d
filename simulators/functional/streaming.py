"""Runs without an end: a network that keeps its state from window to window.

A sample of the functional simulator begins at the reset state and has a number of steps.  A stream
is one sample of which only a window is in memory; that the windows add up to the sample is tested
against the reference.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.errors import InputError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.simulators.functional.plan import Plan, make_plan
from snnc.simulators.functional.program import DEPTH, RING, SIZE, SLOT, Program
from snnc.simulators.functional.simulator import Functional, FunctionalResult, Sample, Worker
from snnc.simulators.inputs import check_inputs

HORIZON = 1 << 40
"""Steps for which the bounds of all sums and membranes are proven: 35 years of milliseconds."""


def check_endless(
    network: IntegerNetwork, compiled: Functional | None = None
) -> tuple[Program, Plan]:
    """Raise unless a network can run without an end; the program and its proven bounds.

    Raises:
        UnsupportedError: an operator that looks at a whole sample, or sums without a bound.
    """
    program = (compiled or Functional(network)).program
    if any(program.lags):
        late = program.lags.index(max(program.lags))
        raise UnsupportedError(
            "a stream has no end that an operator could wait for",
            where=program.populations[late].name,
            found=f"a population {max(program.lags)} steps behind the input",
            allowed="operators that look at one step",
            remedy="run it on samples: snnc run",
        )
    return program, make_plan(program, HORIZON)


class Stream:
    """A network and its state; ``advance`` takes the next window of the input.

    Attributes:
        step: steps run.

    Raises:
        UnsupportedError: an operator that looks at a whole sample.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self._functional = Functional(network)
        program, plan = check_endless(network, self._functional)
        self._program = program
        self._names = {n.name for n in network.populations}
        needed = self._names | set(program.readout.values())
        self._worker = Worker(program, plan, needed)
        self._worker.reset()
        if self._worker.general is not None:
            neurons = self._worker.general.neurons
            self._onsets = neurons.onsets
            own = neurons._replace(onsets=self._onsets.copy())
            self._worker.general = self._worker.general._replace(neurons=own)
        self.step = 0

    def advance(self, inputs: Mapping[str, IntArray]) -> FunctionalResult:
        """Run the next steps: [1, steps, *shape] of every input.

        Returns:
            What happens in them, numbered from 0.

        Raises:
            InputError: an input is missing, misshapen or out of its type's range, or the stream is
                longer than ``HORIZON``.
        """
        data, _, steps = check_inputs(self._functional.network, inputs)
        if self.step + steps > HORIZON:
            raise InputError("the stream is too long", found=self.step, allowed=HORIZON)
        rasters = [data[n.name].reshape(steps, -1) for n in self._program.inputs]
        sample = self._window(rasters, steps)
        self._turn_rings(steps)
        self.step += steps
        return self._functional.result([sample], self._names, steps)

    def _window(self, rasters: list[IntArray], steps: int) -> Sample:
        worker = self._worker
        if worker.general is not None:  # its biases begin so many steps of this window later
            worker.general.neurons.onsets[:] = self._onsets - self.step
        ends = {t - self.step for t in worker.gates if self.step < t < self.step + steps}
        if self.step == 0:
            worker.open_gates(0)
        return worker.play(rasters, steps, ends, self.step)

    def _turn_rings(self, steps: int) -> None:
        """Move the spikes of moment t to where the next window looks for moment t - steps."""
        work = self._worker.workspace
        for source in self._program.network.sources:
            depth, size = int(source[DEPTH]), int(source[SIZE])
            turn = -steps % depth
            if not turn:
                continue
            for ring in (work.ring_index, work.ring_value):
                part = ring[source[RING] : source[RING] + depth * size].reshape(depth, size)
                part[:] = np.roll(part, turn, axis=0)
            slots = work.ring_count[source[SLOT] : source[SLOT] + depth]
            slots[:] = np.roll(slots, turn)

    def state(self) -> dict[str, AnyArray]:
        """Everything that the next steps depend on; the arrays are not copies."""
        work = self._worker.workspace
        found: dict[str, AnyArray] = {
            "v": work.fast.v,
            "current": work.fast.current,
            "bias": work.fast.bias,
            "pending": work.pending,
            "ring_index": work.ring_index,
            "ring_value": work.ring_value,
            "ring_count": work.ring_count,
        }
        if self._worker.general is not None:
            state = self._worker.general.state
            found |= {f"general_{name}": getattr(state, name) for name in state._fields}
        return found

    def restore(self, step: int, state: Mapping[str, AnyArray], where: str) -> None:
        """Go on from a state that nobody vouches for.

        Raises:
            InputError: it is not a state of this network.
        """
        mine = self.state()
        for name, array in mine.items():
            given = state.get(name)
            if given is None or (given.shape, given.dtype) != (array.shape, array.dtype):
                raise _foreign(where, f"the array {name}")
        sources = self._program.network.sources
        fill = np.repeat(sources[:, SIZE], sources[:, DEPTH])
        room = np.repeat(sources[:, SIZE], sources[:, SIZE] * sources[:, DEPTH])
        for name, high in (("ring_count", fill + 1), ("ring_index", room), ("pending", 2)):
            if (state[name] < 0).any() or (state[name] >= high).any():
                raise _foreign(where, f"{name} out of range")
        if not 0 <= step < HORIZON:
            raise _foreign(where, f"step {step}")
        for name, array in mine.items():
            array[:] = state[name]
        self.step = step


def _foreign(where: str, found: str) -> InputError:
    return InputError(
        "the checkpoint is not of this network",
        where=where,
        found=found,
        remedy="resume with the artifact that wrote it, or start without --resume",
    )
