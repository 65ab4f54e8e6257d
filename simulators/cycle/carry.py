"""States of samples between blocks of steps: what a phase saves when another takes its turn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from snnc.simulators.cycle.chip import Loaded
from snnc.simulators.neuron_kernel import State


@dataclass(eq=False)
class Carry:
    """Where the samples of one deployment stopped.

    Attributes:
        step: logical steps run; biases that begin later in the sample wait for them.
        states: by sample, of all neurons in sweep order; missing before its first block.
    """

    step: int = 0
    states: dict[int, State] = field(default_factory=dict)

    def save(self, sample: int, state: State) -> None:
        """Keep a sample's state."""
        self.states[sample] = State(*(array.copy() for array in state))

    def late(self, loaded: Loaded) -> Loaded:
        """The tables with biases that begin so many steps earlier in a block."""
        neurons = loaded.program.neurons
        later = neurons._replace(onsets=neurons.onsets - self.step)
        return replace(loaded, program=loaded.program._replace(neurons=later))
