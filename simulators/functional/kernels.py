"""The loops of the functional simulator: one call runs one sample, nothing in Python per step.

Per step, every population in execution order: the spikes of each source, delayed by the
projection, add their synapses to one shared vector of input sums (it stays in the cache), then
the population is advanced.  Sums are modular in the plan's integer type; the plan proves that
the true sum fits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.jit import inlined, lean_kernel
from snnc.ir.jit import inner_kernel as kernel
from snnc.simulators import neuron_kernel
from snnc.simulators.functional.delivery import deliver
from snnc.simulators.functional.membranes import Fast, sweep, touch
from snnc.simulators.functional.plan import EVENT_DRIVEN, FIRST, GENERAL, MODE, PROJECTIONS
from snnc.simulators.functional.program import (
    DELAY,
    DEPTH,
    LAG,
    RING,
    SIZE,
    SLOT,
    SOURCE,
    UNIT,
    Network,
)
from snnc.simulators.functional.sparsify import BEGIN, END, STEPS, Arriving
from snnc.simulators.neuron_kernel import Int32, Int64, PackedNeurons, State

# A population that receives fewer events than neurons / SPARSE walks its touched neurons only.
SPARSE = 64


class Workspace(NamedTuple):
    """What one worker thread writes.

    Attributes:
        sums: [largest population + LANES], input sums; zero between populations.
        fired: uint8 [CHUNK + 8], who crosses the threshold in a part of a sweep.
        fired_words: the same memory as uint64, eight neurons each.
        fast: membranes of the fast path.
        pending: int64 [populations], 1 while some neuron may change without input.
        ring_index, ring_value: the spikes of all sources in their last DEPTH steps.
        ring_count: how many there are, per slot.
    """

    sums: IntArray
    fired: Any
    fired_words: Any
    fast: Fast
    pending: Int64
    ring_index: Int32
    ring_value: Int64
    ring_count: Int64


class General(NamedTuple):
    """Parameters and state of all neurons, for populations that go the general way.

    None in its place spares users of the fast path the compilation of ``neuron_kernel``.
    """

    neurons: PackedNeurons
    state: State


# Entries of ``Recording.progress``.
STEP, STORED, EVENTS = range(3)


class Recording(NamedTuple):
    """What a sample leaves behind.

    Attributes:
        recorded: int64 [populations], whether its spikes are kept.
        kept: int64 [moments, populations], how many spikes are kept.
        total: int64 [populations], sum of absolute values.
        spike, value: neuron and value of the kept spikes; as long as the caller likes.
        progress: the next moment, spikes kept, and synaptic events: one per nonzero emitted value
            and stored synapse.
    """

    recorded: Int64
    kept: Int64
    total: Int64
    spike: Int32
    value: Int64
    progress: Int64


@lean_kernel
def advance(
    network: Network,
    plan: Int64,
    work: Workspace,
    general: General | None,
    arriving: Arriving,
    recording: Recording,
    until: int,
    room: int,
) -> None:
    """Run a sample to moment ``until`` or the end of the window that arrives.

    Or as long as ``room`` more spikes can be kept.

    Moment m is step m of the inputs and step m - LAG of a population.

    Kernels that allocate or copy arrays take Numba seconds more to compile, so the caller
    prepares the state, opens the gates of biases and grows the recording.
    """
    inputs, steps = arriving.pointer.shape[0], arriving.span[STEPS]
    until = min(until, arriving.span[END])
    progress, size = recording.progress, recording.spike.size
    while progress[STEP] < until and progress[STORED] + room <= size:
        t = progress[STEP]
        for i in range(inputs):
            _inject(network.sources[i], work, arriving, i, t)
        progress[EVENTS] += _step(network, plan, work, general, inputs, t, steps)
        for p in range(plan.shape[0] - 1):
            _record(network.sources[inputs + p], work, recording, p, t)
        progress[STEP] = t + 1


@inlined
def _inject(source: Int64, work: Workspace, arriving: Arriving, i: int, t: int) -> None:
    """Copy the inputs of moment ``t`` to their ring; behind the last step there are none."""
    begin, n = 0, 0
    if t < arriving.span[STEPS]:
        m = t - arriving.span[BEGIN]
        begin, n = arriving.pointer[i, m], arriving.pointer[i, m + 1] - arriving.pointer[i, m]
    slot = t & (source[DEPTH] - 1)
    ring = source[RING] + slot * source[SIZE]
    work.ring_count[source[SLOT] + slot] = n
    index, value, element, amount = (
        work.ring_index, work.ring_value, arriving.element, arriving.amount,
    )  # fmt: skip
    for j in range(n):
        index[ring + j] = element[begin + j]
        value[ring + j] = amount[begin + j]


@inlined
def _record(source: Int64, work: Workspace, recording: Recording, p: int, t: int) -> None:
    """Count the spikes of one population in moment ``t``, and keep them if they are wanted."""
    slot = t & (source[DEPTH] - 1)
    n, ring = work.ring_count[source[SLOT] + slot], source[RING] + slot * source[SIZE]
    index, value, unit = work.ring_index, work.ring_value, source[UNIT]
    magnitude = n
    if not unit:
        magnitude = 0
        for j in range(ring, ring + n):
            magnitude += abs(value[j])
    recording.total[p] += magnitude
    if recording.recorded[p]:
        recording.kept[t, p] = n
        spike, out, stored = recording.spike, recording.value, recording.progress[STORED]
        for j in range(n):
            spike[stored + j] = index[ring + j]
            out[stored + j] = 1 if unit else value[ring + j]
        recording.progress[STORED] = stored + n


@kernel
def _step(
    network: Network,
    plan: Int64,
    work: Workspace,
    general: General | None,
    inputs: int,
    t: int,
    steps: int,
) -> int:
    """Advance all populations in moment ``t``; returns the number of synaptic events delivered.

    A population whose sample of ``steps`` steps has not begun, or is over, is silent.
    """
    projections, sources, synapses = network.projections, network.sources, network.synapses
    ring_index, ring_value, ring_count = work.ring_index, work.ring_value, work.ring_count
    pending, fast = work.pending, work.fast
    total = 0
    for p in range(plan.shape[0] - 1):
        k, me = plan[p], sources[inputs + p]
        slot, size = t & (me[DEPTH] - 1), me[SIZE]
        step = t - me[LAG]
        if step < 0 or step >= steps:
            ring_count[me[SLOT] + slot] = 0
            continue
        ring = me[RING] + slot * size
        index, sums = ring_index[ring : ring + size], work.sums[:size]
        events = 0
        for j in range(k[PROJECTIONS], plan[p + 1, PROJECTIONS]):
            begin, end, unit = _spikes(projections[j], sources, ring_count, t)
            if begin < end:
                spikes = ring_index[begin:end], ring_value[begin:end], unit
                events += deliver(projections[j], synapses, spikes, sums)
        if k[MODE] == GENERAL:
            n = 0
            if general is not None:
                value, first = ring_value[ring : ring + size], k[FIRST]
                n = neuron_kernel.step(
                    general.neurons, general.state, first, first + size, sums, step, index, value
                )
        elif events * SPARSE < size and k[EVENT_DRIVEN] and not pending[p]:
            # A plain zero would have `touch` compiled twice, once for the constant.
            n, again = int(np.int64(0)), 0
            if events:
                for j in range(k[PROJECTIONS], plan[p + 1, PROJECTIONS]):
                    begin, end, _ = _spikes(projections[j], sources, ring_count, t)
                    touching = projections[j], ring_index[begin:end]
                    touched = touch(k, touching, synapses, sums, fast, index, n)
                    n, again = touched[0], again | touched[1]
            pending[p] = again
        else:
            n, again = sweep(k, fast, work.fired, work.fired_words, sums, index)
            pending[p] = again
        ring_count[me[SLOT] + slot] = n
        total += events
    return total


@kernel
def _spikes(projection: Int64, sources: Int64, count: Int64, t: int) -> tuple[int, int, int]:
    """(begin, end, unit) in the rings of what a projection delivers in moment ``t``.

    What was sent before moment 0 lies behind the slots filled so far: nothing in a new sample.
    """
    source = sources[projection[SOURCE]]
    slot = (t - projection[DELAY]) & (source[DEPTH] - 1)
    begin = source[RING] + slot * source[SIZE]
    return begin, begin + count[source[SLOT] + slot], source[UNIT]
