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
from snnc.simulators.functional.layouts import RUNS, TARGET_BITS, TARGET_MASK, WORDS
from snnc.simulators.functional.plan import (
    EVEN,
    EVENT_DRIVEN,
    FIRST,
    GENERAL,
    HIGH,
    KEEP,
    LEAK_SHIFT,
    LEAKY,
    LOW,
    MODE,
    PROJECTIONS,
    SHIFT,
    TRUNCATE,
)
from snnc.simulators.functional.program import (
    COUNT,
    DELAY,
    DEPTH,
    LAG,
    LAYOUT,
    RING,
    ROW,
    SIZE,
    SLOT,
    SOURCE,
    UNIT,
    Network,
    Synapses,
)
from snnc.simulators.neuron_kernel import Int32, Int64, PackedNeurons, State

# A population that receives fewer events than neurons / SPARSE walks its touched neurons only.
SPARSE = 64


class Fast(NamedTuple):
    """Membranes and parameters of the fast path, [neurons], all of the plan's type."""

    v: IntArray
    threshold: IntArray
    added: IntArray
    multiplier: IntArray
    bias: IntArray


class Workspace(NamedTuple):
    """What one worker thread writes.

    Attributes:
        sums: [largest population], input sums; zero between populations.
        fired: uint8 [largest population rounded up to 8], who crosses the threshold in a sweep.
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


class Arriving(NamedTuple):
    """Nonzero inputs of one sample; ``pointer`` [inputs, steps + 1] indexes the other two."""

    pointer: Int64
    element: Int32
    amount: Int64


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
    """Run a sample to moment ``until``, or as long as ``room`` more spikes can be kept.

    Moment m is step m of the inputs and step m - LAG of a population.

    Kernels that allocate or copy arrays take Numba seconds more to compile, so the caller
    prepares the state, opens the gates of biases and grows the recording.
    """
    inputs, steps = arriving.pointer.shape[0], arriving.pointer.shape[1] - 1
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
    if t + 1 < arriving.pointer.shape[1]:
        begin, n = arriving.pointer[i, t], arriving.pointer[i, t + 1] - arriving.pointer[i, t]
    slot = t % source[DEPTH]
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
    slot = t % source[DEPTH]
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
        slot, size = t % me[DEPTH], me[SIZE]
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
                events += _deliver(projections[j], synapses, spikes, sums)
        if k[MODE] == GENERAL:
            n = 0
            if general is not None:
                value, first = ring_value[ring : ring + size], k[FIRST]
                n = neuron_kernel.step(
                    general.neurons, general.state, first, first + size, sums, step, index, value
                )
        elif events * SPARSE < size and k[EVENT_DRIVEN] and not pending[p]:
            # A plain zero would have `_touch` compiled twice, once for the constant.
            n, again = int(np.int64(0)), 0
            if events:
                for j in range(k[PROJECTIONS], plan[p + 1, PROJECTIONS]):
                    begin, end, _ = _spikes(projections[j], sources, ring_count, t)
                    touching = projections[j], ring_index[begin:end]
                    touched = _touch(k, touching, synapses, sums, fast, index, n)
                    n, again = touched[0], again | touched[1]
            pending[p] = again
        else:
            n, again = _sweep(k, fast, work.fired, work.fired_words, sums, index)
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
    slot = (t - projection[DELAY]) % source[DEPTH]
    begin = source[RING] + slot * source[SIZE]
    return begin, begin + count[source[SLOT] + slot], source[UNIT]


@kernel
def _deliver(k: Int64, synapses: Synapses, spikes: tuple[Int32, Int64, int], sums: IntArray) -> int:
    """Add the synapses of spikes (index, value, unit); returns the number of events."""
    index, value, unit = spikes
    row = synapses.row_ptr[k[ROW] :]
    if k[LAYOUT] == RUNS:
        runs = synapses.run_start, synapses.run_first, synapses.run_weight
        if unit:
            scatter_runs(row, runs, index, sums)
        else:
            scatter_scaled_runs(row, runs, index, value, sums)
    elif k[LAYOUT] == WORDS and unit:
        scatter_words(row, synapses.words, index, sums)
    elif k[LAYOUT] == WORDS:
        scatter_scaled_words(row, synapses.words, index, value, sums)
    else:
        scatter(row, synapses.target, synapses.weight, spikes, sums)
    return _fan_out(synapses.fan_out[k[COUNT] :], index)


@inlined
def _fan_out(fan_out: Int32, index: Int32) -> int:
    """Number of synapses of all spikes."""
    events = 0
    for i in index:
        events += fan_out[i]
    return events


@kernel
def scatter_runs(row: Int64, runs: tuple[Int32, Int64, Any], index: Int32, sums: Any) -> None:
    """Binary spikes through runs; unsigned indices let the inner loop become vector code."""
    start, first, weight = runs
    for i in index:
        for r in range(row[i], row[i + 1]):
            target, source = np.uintp(start[r]), np.uintp(first[r])
            for k in range(first[r + 1] - first[r]):
                sums[target + np.uintp(k)] += weight[source + np.uintp(k)]


@kernel
def scatter_scaled_runs(
    row: Int64, runs: tuple[Int32, Int64, Any], index: Int32, value: Int64, sums: Any
) -> None:
    """Counts through runs: a count multiplies the weight."""
    start, first, weight = runs
    for s in range(index.size):
        factor = value[s]
        for r in range(row[index[s]], row[index[s] + 1]):
            target, source = np.uintp(start[r]), np.uintp(first[r])
            for k in range(first[r + 1] - first[r]):
                sums[target + np.uintp(k)] += weight[source + np.uintp(k)] * factor


@kernel
def scatter_words(row: Int64, words: Int32, index: Int32, sums: IntArray) -> None:
    """Binary spikes through packed words."""
    for i in index:
        for j in range(row[i], row[i + 1]):
            word = words[j]
            sums[word & TARGET_MASK] += word >> TARGET_BITS


@kernel
def scatter_scaled_words(
    row: Int64, words: Int32, index: Int32, value: Int64, sums: IntArray
) -> None:
    """Counts through packed words."""
    for s in range(index.size):
        factor = value[s]
        for j in range(row[index[s]], row[index[s] + 1]):
            word = words[j]
            sums[word & TARGET_MASK] += (word >> TARGET_BITS) * factor


@kernel
def scatter(
    row: Int64, target: Int32, weight: Int64, spikes: tuple[Int32, Int64, int], sums: IntArray
) -> None:
    """Any spikes through wide synapses."""
    index, value, unit = spikes
    for s in range(index.size):
        factor = 1 if unit else value[s]
        for j in range(row[index[s]], row[index[s] + 1]):
            sums[np.uint32(target[j])] += weight[j] * factor


@kernel
def _touch(
    k: Int64,
    touching: tuple[Int64, Int32],
    synapses: Synapses,
    sums: IntArray,
    fast: Fast,
    index: Int32,
    n: int,
) -> tuple[int, int]:
    """Advance the neurons that (projection, spikes) reach; exact for event-driven populations.

    A sum of zero leaves the neuron as it is; a neuron reached twice is advanced the first time,
    when its sum is taken.  ``n`` have fired before; returns how many have then, and whether any
    will again without input.
    """
    projection, spikes = touching
    again, row = 0, synapses.row_ptr[projection[ROW] :]
    words, target = synapses.words, synapses.target
    start, offset = synapses.run_start, synapses.run_first
    membranes, threshold, added = fast.v, fast.threshold, fast.added
    for source in spikes:
        for entry in range(row[source], row[source + 1]):
            first, length = _targets(projection[LAYOUT], entry, words, target, start, offset)
            for i in range(first, first + length):
                if sums[i] != 0:
                    fires, over = _integrate(k, membranes, threshold, added, sums, i)
                    if fires:
                        index[n] = i
                        n += 1
                        again |= over
    return n, again


@inlined
def _targets(
    layout: int, entry: int, words: Int32, target: Int32, start: Int32, first: Int64
) -> Any:
    """First target and number of targets of one stored entry."""
    if layout == RUNS:
        return np.int64(start[entry]), first[entry + 1] - first[entry]
    if layout == WORDS:
        return np.int64(words[entry] & TARGET_MASK), 1
    return np.int64(target[entry]), 1


@inlined
def _integrate(
    k: Int64, membranes: IntArray, threshold: IntArray, added: IntArray, sums: IntArray, i: int
) -> tuple[int, int]:
    """Advance one neuron without leak and bias; returns (fires, still at the threshold)."""
    g, low, high = k[FIRST] + i, k[LOW], k[HIGH]
    v = min(max(membranes[g] + (np.int64(sums[i]) << k[SHIFT]), low), high)
    sums[i] = 0
    fires = v >= threshold[g]
    if fires:
        v = min(max((v & k[KEEP]) + added[g], low), high)
    membranes[g] = v
    return int(fires), int(v >= threshold[g])


@kernel
def _sweep(
    k: Int64, fast: Fast, fired: Any, words: Any, sums: IntArray, index: Int32
) -> tuple[int, int]:
    """Advance all neurons of a fast population; returns how many fire, and if any will again."""
    first, last = k[FIRST], k[FIRST] + sums.size
    v = fast.v[first:last]
    if k[MODE] == LEAKY:
        _leak(v, fast.multiplier[first:last], k[LEAK_SHIFT], k[TRUNCATE], k[EVEN])
    _add(v, sums, fast.bias[first:last], k[SHIFT])
    _fire(v, fast.threshold[first:last], fast.added[first:last], k[LOW], k[HIGH], k[KEEP], fired)
    return _collect(fired, words, sums.size, index)


@inlined
def _add(v: IntArray, sums: IntArray, bias: IntArray, shift: int) -> None:
    """Integrate and consume the input sums."""
    for i in range(v.size):
        v[i] += (sums[i] << shift) + bias[i]
        sums[i] = 0


@inlined
def _leak(v: IntArray, multiplier: IntArray, shift: int, truncate: int, even: int) -> None:
    """``v = round(multiplier v / 2^shift)`` without branches, so that it becomes vector code.

    Toward zero: a negative product is first raised by 2^shift - 1.  Half to even: one more when
    the rest, plus one if the floor is odd, exceeds one half.
    """
    mask, half = (1 << shift) - 1, (1 << shift) >> 1
    for i in range(v.size):
        product = np.int64(multiplier[i]) * np.int64(v[i])
        product += (product >> 63) & truncate
        floor = product >> shift
        v[i] = floor + (((product & mask) + (floor & 1) > half) & even)


@kernel
def _fire(v: Any, threshold: Any, added: Any, low: int, high: int, keep: int, fired: Any) -> None:
    """Clip, compare, reset, clip; bit 0 of ``fired``: a spike, bit 1: still at the threshold."""
    kind = v.dtype.type
    lowest, highest, mask = kind(low), kind(high), kind(keep)
    for i in range(v.size):
        u = min(max(v[i], lowest), highest)
        hit = u >= threshold[i]
        after = min(max(kind((u & mask) + added[i]), lowest), highest)
        u = after if hit else u
        v[i] = u
        fired[i] = hit | ((u >= threshold[i]) << 1)


@inlined
def _collect(fired: Any, words: Any, size: int, index: Int32) -> tuple[int, int]:
    """List the neurons that fire, eight flags at a time; and whether any would fire again."""
    n, again = 0, 0
    for i in range(size, (size + 7) & -8):
        fired[i] = 0
    for w in range((size + 7) >> 3):
        if words[w] != 0:
            for i in range(8 * w, 8 * w + 8):
                if fired[i] & 1:
                    index[n] = i
                    n += 1
                again |= fired[i] >> 1
    return n, again
