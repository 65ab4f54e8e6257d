"""Samples that are run block by block: each goes on from where it stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.integer_network import IntegerNetwork
from snnc.simulators.functional.simulator import FunctionalResult
from snnc.simulators.functional.streaming import Stream
from snnc.simulators.inputs import check_inputs
from snnc.simulators.result import Events


class Blocks:
    """A network, and the states of some samples between their blocks.

    Raises:
        UnsupportedError: an operator that looks at a whole sample.
    """

    def __init__(self, network: IntegerNetwork, samples: int) -> None:
        self._network, self._stream, self._step = network, Stream(network), 0
        self._states = [self._copy() for _ in range(samples)]

    def run(
        self, inputs: Mapping[str, IntArray], record: Collection[str] | None = None
    ) -> FunctionalResult:
        """Run the next steps of all samples; their steps are numbered from 0.

        Args:
            inputs: by input name, integers [samples, steps, *shape] within the input's type.
            record: populations whose spikes are returned; None records all.

        Raises:
            InputError: an input is missing, misshapen or out of its type's range.
        """
        data, samples, steps = check_inputs(self._network, inputs)
        names = [node.name for node in self._network.populations]
        shown = set(names if record is None else record)
        parts = []
        for sample in range(samples):
            self._stream.restore(self._step, self._states[sample], self._network.name)
            one = {name: values[sample : sample + 1] for name, values in data.items()}
            parts.append(self._stream.advance(one))
            self._states[sample] = self._copy()
        self._step += steps
        outputs = {
            name: np.concatenate([part.outputs[name] for part in parts])
            for name in parts[0].outputs
        }
        counts = {name: np.concatenate([p.spike_counts[name] for p in parts]) for name in names}
        spikes = {
            name: Events.join([_of(k, part.spikes[name]) for k, part in enumerate(parts)])
            for name in names
            if name in shown
        }
        events = np.concatenate([part.synaptic_events for part in parts])
        return FunctionalResult(outputs, spikes, counts, events)

    def _copy(self) -> dict[str, AnyArray]:
        return {name: array.copy() for name, array in self._stream.state().items()}


def _of(sample: int, events: Events) -> Events:
    """The events of a single sample under its number."""
    return Events(np.full_like(events.sample, sample), events.step, events.index, events.value)
