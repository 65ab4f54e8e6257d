"""What the cores compute in one tick, as kernels over ``Program``; no time, no network."""

from __future__ import annotations

from snnc.ir.jit import inlined, inner_kernel, lean_kernel
from snnc.simulators.cycle.program import Axons, Int32, Int64, Sweeps
from snnc.simulators.neuron_kernel import (
    BIASES,
    EMIT_STATE,
    HAS_CURRENT,
    LADDERS,
    LEAK_SHIFT,
    LEVELS,
    MULTIPLIER,
    NEGATIVE_LEVELS,
    ONSETS,
    State,
    update,
)


@inner_kernel
def packets_of(value: int, limit: int) -> int:
    """Packets that say ``value``."""
    return (abs(value) + limit - 1) // limit


@inlined
def send(axons: Axons, ring: Int64, source: int, value: int, tick: int) -> None:
    """Accumulate a source's value on every axon it reaches.

    ``ring`` is [depth, neurons]; row ``t % depth`` collects what is integrated in tick t.  The
    axon's own delay comes on top of ``tick``.
    """
    depth = ring.shape[0]
    for reach in range(axons.reach_ptr[source], axons.reach_ptr[source + 1]):
        for axon in range(axons.reach_first[reach], axons.reach_last[reach]):
            row = ring[(tick + axons.axon_delay[axon]) % depth]
            for i in range(axons.synapse_ptr[axon], axons.synapse_ptr[axon + 1]):
                row[axons.synapse_target[i]] += axons.synapse_weight[i] * value


@lean_kernel
def send_all(
    axons: Axons, ring: Int64, source: Int32, value: Int64, tick: int, packets: Int64
) -> None:
    """Send the values of many sources and count their packets per source."""
    for i in range(source.size):
        send(axons, ring, source[i], value[i], tick)
        if axons.sends[source[i]] > 0:
            packets[source[i]] += packets_of(value[i], axons.packet_limit)


@lean_kernel
def sweep(
    program: Sweeps,
    state: State,
    arrived: Int64,
    tick: int,
    steps: int,
    updated: Int64,
    fired: Int64,
    touched: Int32,
    source: Int32,
    value: Int64,
) -> tuple[int, int]:
    """Update every neuron that is in its window in this tick.

    Args:
        program: the tables.
        state: of all neurons.
        arrived: [neurons] input sums of this tick; consumed and set to zero.
        tick: physical time.
        steps: logical steps of the window.
        updated: [segments] counts neurons that needed an update (see ``_needs_update``).
        fired: [segments] counts neurons that emitted something.
        touched: [neurons] whether the neuron needed an update in this tick.
        source: [neurons] receives the source ids that emit, in sweep order.
        value: [neurons] receives what they emit.

    Returns:
        Number of emitting neurons; number of neurons whose input came in a tick in which they do
        not update, before the end of their window: it is lost.
    """
    emitted = 0
    stray = 0
    for segment in range(program.segment_offset.size):
        first, last = program.segment_ptr[segment], program.segment_ptr[segment + 1]
        since = tick - program.segment_offset[segment]
        step = since // program.period
        if since < 0 or step >= steps or since % program.period != 0:
            stray += _discard(arrived, touched, first, last, step < steps)
            continue
        before = emitted
        for i in range(first, last):
            inputs = arrived[i]
            arrived[i] = 0
            needed = _needs_update(program, state, i, inputs, step)
            if not needed and step > 0 and _is_silent(program, state, i):
                touched[i] = 0
                continue
            out = update(program.neurons, state, i, inputs, step)
            if out != 0:
                source[emitted] = program.neuron_source[i]
                value[emitted] = out
                emitted += 1
                needed = True
            touched[i] = needed
            updated[segment] += needed
        fired[segment] += emitted - before
    return emitted, stray


@inlined
def _discard(arrived: Int64, touched: Int32, first: int, last: int, counts: bool) -> int:
    """Forget what arrived at neurons that do not update in this tick."""
    stray = 0
    for i in range(first, last):
        touched[i] = 0
        if arrived[i] != 0:
            arrived[i] = 0
            stray += counts
    return stray


@inlined
def _needs_update(program: Sweeps, state: State, i: int, inputs: int, step: int) -> bool:
    """Whether the core has to do more than look at the neuron.

    It has when input arrived, a bias is active, or a state is not at rest: a current, a
    refractory counter or an adaptation that is not zero, a membrane that leaks and is not zero.
    """
    if inputs != 0 or state.q[i] != 0 or state.a[i] != 0:
        return True
    parameters = program.neurons
    k = parameters.table[parameters.kind[i]]
    row = parameters.row[i]
    if k[HAS_CURRENT] and state.current[i] != 0:
        return True
    if state.v[i] != 0 and parameters.values[row + MULTIPLIER] != 1 << k[LEAK_SHIFT]:
        return True
    for bias in range(k[BIASES]):
        active = step >= parameters.onsets[k[ONSETS] + bias]
        if active and parameters.values[row + LADDERS + bias] != 0:
            return True
    return False


@inlined
def _is_silent(program: Sweeps, state: State, i: int) -> bool:
    """Whether a neuron that needs no update would change nothing and emit nothing.

    Its state is at rest and, after its first step, inside its range; what is left is to compare
    the membrane with the lowest thresholds.
    """
    parameters = program.neurons
    k = parameters.table[parameters.kind[i]]
    if k[EMIT_STATE]:
        return False
    ladder = parameters.row[i] + LADDERS + k[BIASES]
    if k[LEVELS] and state.v[i] >= parameters.values[ladder]:
        return False
    negative = ladder + k[LEVELS]
    return not (k[NEGATIVE_LEVELS] and -state.v[i] >= parameters.values[negative])
