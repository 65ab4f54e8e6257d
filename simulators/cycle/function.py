"""What the cores compute in one tick, as kernels over ``Program``; no time, no network."""

from __future__ import annotations

from typing import NamedTuple

from snnc.ir.jit import inlined, inner_kernel
from snnc.simulators.cycle.program import (
    PLANES,
    REFIRE,
    SLOTS,
    WINDOW,
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


class Wires(NamedTuple):
    """What cores keep between the ticks of one logical step; [neurons] each.

    Attributes:
        held: input that arrived before the tick of the update.
        sending: count whose slots are being sent; of a neuron that fires again, whether it did.
        heard: whether something arrived before the tick of the update, where that costs.
    """

    held: Int64
    sending: Int64
    heard: Int64


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


@inner_kernel
def sweep_segment(
    program: Sweeps,
    state: State,
    wires: Wires,
    arrived: Int64,
    tick: int,
    steps: int,
    segment: int,
    touched: Int32,
    emission: Emission,
    emitted: int,
    pulses: int,
) -> tuple[int, int, int, int]:
    """Update every neuron of a segment, if it is in its window in this tick; send what is due.

    Args:
        program: the tables.
        state, wires: of all neurons.
        arrived: [neurons] input sums of this tick; consumed and set to zero.
        tick: physical time.
        steps: logical steps of the window.
        segment: a run of neurons of one core and one population.
        touched: [neurons] whether the neuron needed an update in this tick (``_needs_update``).
        emission: receives what neurons emit and send, behind
        emitted, pulses: emissions and pulses.

    Returns:
        Number of emissions and of pulses there are then; number of neurons whose input came in a
        tick in which they neither update nor wait for it, before the end of their window, and is
        lost; neurons that needed an update.
    """
    first, last = program.segment_ptr[segment], program.segment_ptr[segment + 1]
    code = program.segment_code[segment]
    since = tick - program.segment_offset[segment]
    step = since // program.period
    phase = since - step * program.period
    paid = 0
    if phase != 0 or step < 0 or step >= steps:
        stray = 0
        early = program.period - phase < code[WINDOW]
        if early and 0 <= step + 1 < steps:
            _hold(wires, arrived, touched, first, last, program.flag_bits)
        else:
            counts = step < steps and not (early and step + 1 >= steps)
            stray = _discard(arrived, touched, first, last, counts, program.flag_bits)
        if 0 <= step < steps and 0 < phase < code[SLOTS]:
            if code[REFIRE]:
                emitted, pulses, paid = _fire_again(
                    program, state, wires, touched, first, last, emission, emitted, pulses
                )
            else:
                pulses = _next_slot(
                    program, wires, code[PLANES], phase, first, last, emission, pulses
                )
        return emitted, pulses, stray, paid
    for i in range(first, last):
        inputs = (arrived[i] >> program.flag_bits) + wires.held[i]
        heard = wires.heard[i] + (arrived[i] & ((1 << program.flag_bits) - 1))
        arrived[i] = 0
        wires.held[i] = 0
        wires.sending[i] = 0
        wires.heard[i] = 0
        needed = heard != 0 or _needs_update(program, state, i, inputs, step)
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
        paid += needed
    return emitted, pulses, 0, paid


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
def _hold(
    wires: Wires, arrived: Int64, touched: Int32, first: int, last: int, flag_bits: int
) -> None:
    """Add what arrived to what waits for the next update."""
    for i in range(first, last):
        touched[i] = 0
        wires.held[i] += arrived[i] >> flag_bits
        wires.heard[i] += arrived[i] & ((1 << flag_bits) - 1)
        arrived[i] = 0


@inlined
def _discard(
    arrived: Int64, touched: Int32, first: int, last: int, counts: bool, flag_bits: int
) -> int:
    """Forget what arrived at neurons that do not update in this tick."""
    stray = 0
    for i in range(first, last):
        touched[i] = 0
        stray += counts and arrived[i] >> flag_bits != 0
        arrived[i] = 0
    return stray


@inlined
def _needs_update(program: Sweeps, state: State, i: int, inputs: int, step: int) -> bool:
    """Whether the core has to do more than look at the neuron.

    It has when input arrived, a bias is active, or a state is not at rest: a current, a
    refractory counter or an adaptation that is not zero, a membrane that leaks and is not zero.
    Some cores also do more for every membrane that is not zero.
    """
    if program.flag_bits > 0 and state.v[i] != 0:
        return True
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
