"""What the cores compute in one tick, as kernels over ``Program``; no time, no network."""

from __future__ import annotations

from typing import NamedTuple

from snnc.ir.jit import inlined, inner_kernel, lean_kernel
from snnc.simulators.cycle.program import (
    PLANES,
    REFIRE,
    SLOTS,
    WINDOW,
    Axons,
    Int32,
    Int64,
    Sweeps,
)
from snnc.simulators.neuron_kernel import (
    AMOUNT,
    BIASES,
    DELTA,
    EMIT_STATE,
    HAS_CURRENT,
    HIGH,
    LADDERS,
    LEAK_SHIFT,
    LEVELS,
    LOW,
    MULTIPLIER,
    NEGATIVE_LEVELS,
    ONSETS,
    WRAP,
    State,
    bounded,
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
    axon's own delay comes on top of ``tick``.  Of a pair of axons the one of the value's sign
    adds the magnitude: its row holds the weights with that sign.
    """
    depth = ring.shape[0]
    for reach in range(axons.reach_ptr[source], axons.reach_ptr[source + 1]):
        for axon in range(axons.reach_first[reach], axons.reach_last[reach]):
            sign = axons.axon_sign[axon]
            if sign * value < 0:
                continue
            pulse = abs(value) if sign != 0 else value
            row = ring[(tick + axons.axon_delay[axon]) % depth]
            for i in range(axons.synapse_ptr[axon], axons.synapse_ptr[axon + 1]):
                row[axons.synapse_target[i]] += axons.synapse_weight[i] * pulse


@lean_kernel
def send_all(
    axons: Axons, ring: Int64, source: Int32, value: Int64, tick: int, packets: Int64
) -> None:
    """Send the values of many sources and count their packets per source."""
    for i in range(source.size):
        send(axons, ring, source[i], value[i], tick)
        if axons.sends[source[i]] > 0:
            packets[source[i]] += packets_of(value[i], axons.packet_limit[source[i]])


class Wires(NamedTuple):
    """What cores keep between the ticks of one logical step; [neurons] each.

    Attributes:
        held: input that arrived before the tick of the update.
        sending: count whose slots are being sent; of a neuron that fires again, whether it did.
    """

    held: Int64
    sending: Int64


class Emission(NamedTuple):
    """Room for what the neurons do in one tick, in sweep order; [neurons] each.

    Attributes:
        source, value: what neurons emit, in logical terms.
        pulse_source, pulse_value: what leaves the cores: the emission, or one slot of a count.
    """

    source: Int32
    value: Int64
    pulse_source: Int32
    pulse_value: Int64


@lean_kernel
def sweep(
    program: Sweeps,
    state: State,
    wires: Wires,
    arrived: Int64,
    tick: int,
    steps: int,
    updated: Int64,
    fired: Int64,
    touched: Int32,
    emission: Emission,
) -> tuple[int, int, int]:
    """Update every neuron that is in its window in this tick, and send what is due.

    Args:
        program: the tables.
        state, wires: of all neurons.
        arrived: [neurons] input sums of this tick; consumed and set to zero.
        tick: physical time.
        steps: logical steps of the window.
        updated: [segments] counts neurons that needed an update (see ``_needs_update``).
        fired: [segments] counts neurons that sent something.
        touched: [neurons] whether the neuron needed an update in this tick.
        emission: receives what neurons emit and send.

    Returns:
        Number of emissions; number of pulses; number of neurons whose input came in a tick in
        which they neither update nor wait for it, before the end of their window: it is lost.
    """
    emitted, pulses, stray = 0, 0, 0
    for segment in range(program.segment_offset.size):
        first, last = program.segment_ptr[segment], program.segment_ptr[segment + 1]
        code = program.segment_code[segment]
        since = tick - program.segment_offset[segment]
        step = since // program.period
        phase = since - step * program.period
        sent = pulses
        if phase != 0 or step < 0 or step >= steps:
            early = program.period - phase < code[WINDOW]
            if early and 0 <= step + 1 < steps:
                _hold(wires, arrived, touched, first, last)
            else:
                counts = step < steps and not (early and step + 1 >= steps)
                stray += _discard(arrived, touched, first, last, counts)
            if 0 <= step < steps and 0 < phase < code[SLOTS]:
                if code[REFIRE]:
                    emitted, pulses, again = _fire_again(
                        program, state, wires, touched, first, last, emission, emitted, pulses
                    )
                    updated[segment] += again
                else:
                    pulses = _next_slot(
                        program, wires, code[PLANES], phase, first, last, emission, pulses
                    )
            fired[segment] += pulses - sent
            continue
        for i in range(first, last):
            inputs = arrived[i] + wires.held[i]
            arrived[i] = 0
            wires.held[i] = 0
            wires.sending[i] = 0
            needed = _needs_update(program, state, i, inputs, step)
            if not needed and step > 0 and _is_silent(program, state, i):
                touched[i] = 0
                continue
            out = update(program.neurons, state, i, inputs, step)
            if out != 0:
                emission.source[emitted] = program.neuron_source[i]
                emission.value[emitted] = out
                emitted += 1
                needed = True
                wires.sending[i] = out
                pulse = out if code[SLOTS] == 1 else _pulse(out, 0, code[PLANES])
                if pulse != 0:
                    emission.pulse_source[pulses] = program.neuron_source[i]
                    emission.pulse_value[pulses] = pulse
                    pulses += 1
            touched[i] = needed
            updated[segment] += needed
        fired[segment] += pulses - sent
    return emitted, pulses, stray


@inlined
def _pulse(count: int, slot: int, planes: int) -> int:
    """What one slot of a count says (``snnc.ir.wire``)."""
    size = abs(count)
    value = size & (1 << slot) if planes else int(size > slot)
    return value if count > 0 else -value


@inlined
def _next_slot(
    program: Sweeps,
    wires: Wires,
    planes: int,
    slot: int,
    first: int,
    last: int,
    emission: Emission,
    pulses: int,
) -> int:
    """Append the pulses of a later slot; returns how many pulses there are then."""
    for i in range(first, last):
        pulse = _pulse(wires.sending[i], slot, planes)
        if pulse != 0:
            emission.pulse_source[pulses] = program.neuron_source[i]
            emission.pulse_value[pulses] = pulse
            pulses += 1
    return pulses


@inlined
def _fire_again(
    program: Sweeps,
    state: State,
    wires: Wires,
    touched: Int32,
    first: int,
    last: int,
    emission: Emission,
    emitted: int,
    pulses: int,
) -> tuple[int, int, int]:
    """Compare and reset those that fired in the slot before: no leak, input or bias.

    Returns:
        Emissions, pulses, and neurons that were looked at.
    """
    parameters, again = program.neurons, 0
    for i in range(first, last):
        if wires.sending[i] == 0:
            continue
        again += 1
        touched[i] = 1
        k = parameters.table[parameters.kind[i]]
        row = parameters.row[i]
        if state.v[i] < parameters.values[row + LADDERS + k[BIASES]]:
            wires.sending[i] = 0
            continue
        rest = state.v[i] - parameters.values[row + AMOUNT]
        state.v[i] = bounded(rest, k[LOW], k[HIGH], k[WRAP])
        emission.source[emitted] = program.neuron_source[i]
        emission.value[emitted] = 1
        emission.pulse_source[pulses] = program.neuron_source[i]
        emission.pulse_value[pulses] = 1
        emitted += 1
        pulses += 1
    return emitted, pulses, again


@inlined
def _hold(wires: Wires, arrived: Int64, touched: Int32, first: int, last: int) -> None:
    """Add what arrived to what waits for the next update."""
    for i in range(first, last):
        touched[i] = 0
        wires.held[i] += arrived[i]
        arrived[i] = 0


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
    if k[EMIT_STATE] or k[DELTA]:
        return False
    ladder = parameters.row[i] + LADDERS + k[BIASES]
    if k[LEVELS] and state.v[i] >= parameters.values[ladder]:
        return False
    negative = ladder + k[LEVELS]
    return not (k[NEGATIVE_LEVELS] and -state.v[i] >= parameters.values[negative])
