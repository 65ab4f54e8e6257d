"""Function of many ticks in one call: what ``run`` does tick by tick, without Python between.

What the cores do does not depend on time, so function goes first and leaves a log; ``timetable``
then times the ticks of the log.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.jit import inlined, inner_kernel, lean_kernel
from snnc.simulators.cycle.axons import Axons, Int32, Int64, Packets, packets_of, send
from snnc.simulators.cycle.function import Emission, Wires, sweep_segment
from snnc.simulators.cycle.plain import Plain, sweep_plain
from snnc.simulators.cycle.program import Sweeps
from snnc.simulators.cycle.timetable import Host
from snnc.simulators.neuron_kernel import State


class Log(NamedTuple):
    """What happened in a stretch of ticks; tick k of the stretch has slice k of each list.

    Attributes:
        emission: room for emissions and pulses of all ticks.
        emit_ptr, pulse_ptr: [ticks + 1].
        neuron, updates: [pulses], as in ``timing.Pulses``.
        core_updates, segment_updates: [ticks, cores], [ticks, segments] neurons updated.
        done: ticks logged; inputs lost.
    """

    emission: Emission
    emit_ptr: Int64
    pulse_ptr: Int64
    neuron: Int32
    updates: Int32
    core_updates: Int32
    segment_updates: Int32
    done: Int64


class Cores(NamedTuple):
    """State of all cores between ticks.

    Attributes:
        state, wires: of all neurons.
        ring: [depth, neurons], row ``t % depth`` collects what is integrated in tick t.
        touched: [neurons] who needed an update in the last tick.
        packets: [sources] packets sent per net.
        updated, fired: [segments].
        flags: uint8, who fires in one plain segment; as long as the largest, and eight more.
        words: the same memory as uint64.
    """

    state: State
    wires: Wires
    ring: Int64
    touched: Int32
    packets: Int64
    updated: Int64
    fired: Int64
    flags: npt.NDArray[np.uint8]
    words: npt.NDArray[np.uint64]


def new_cores(
    program: Sweeps,
    state: State,
    wires: Wires,
    ring: Int64,
    touched: Int32,
    packets: Int64,
    updated: Int64,
    fired: Int64,
) -> Cores:
    """Cores whose state and counters are these arrays."""
    flags = np.zeros((int(np.diff(program.segment_ptr).max(initial=0)) // 8 + 2) * 8, np.uint8)
    return Cores(state, wires, ring, touched, packets, updated, fired, flags, flags.view(np.uint64))


def new_log(ticks: int, cores: int, segments: int, room: int) -> Log:
    """An empty log for so many ticks and spikes; a tick needs room for one spike per neuron."""
    return Log(
        Emission(
            np.zeros(room, np.int32),
            np.zeros(room, np.int64),
            np.zeros(room, np.int32),
            np.zeros(room, np.int64),
        ),
        np.zeros(ticks + 1, np.int64),
        np.zeros(ticks + 1, np.int64),
        np.zeros(room, np.int32),
        np.zeros(room, np.int32),
        np.zeros((ticks, cores), np.int32),
        np.zeros((ticks, segments), np.int32),
        np.zeros(2, np.int64),
    )


@lean_kernel
def advance(
    axons: Axons,
    packets: Packets,
    program: Sweeps,
    plain: Plain,
    cores: Cores,
    segment_core: Int64,
    host: Host,
    log: Log,
    first: int,
    last: int,
    steps: int,
    min_delay: int,
) -> int:
    """Run ticks from ``first`` until ``last``, or until the log is full; returns the next tick."""
    tick, ticks, neurons = first, log.core_updates.shape[0], cores.touched.size
    emission, ring = log.emission, cores.ring
    emitted, pulses = int(np.int64(0)), int(np.int64(0))
    while tick < last and tick - first < ticks:
        if max(emitted, pulses) + neurons > emission.source.size:
            break
        here = tick - first
        for core in range(log.core_updates.shape[1]):
            log.core_updates[here, core] = 0
        for i in range(host.ptr[tick - host.first], host.ptr[tick - host.first + 1]):
            _send(axons, packets, cores, host.source[i], host.value[i], tick)
        arrived = ring[tick % ring.shape[0]]
        before = pulses
        for segment in range(program.segment_offset.size):
            emitted, pulses = _segment(
                program, plain, cores, arrived, log, segment_core[segment],
                tick, here, steps, segment, emitted, pulses,
            )  # fmt: skip
        for i in range(before, pulses):
            source, value = emission.pulse_source[i], emission.pulse_value[i]
            _send(axons, packets, cores, source, value, tick + min_delay)
        tick += 1
        log.emit_ptr[here + 1] = emitted
        log.pulse_ptr[here + 1] = pulses
    log.done[0] = tick - first
    return tick


@inlined
def _send(axons: Axons, packets: Packets, cores: Cores, source: int, value: int, tick: int) -> None:
    send(axons, cores.ring, source, value, tick)
    if packets.send_ptr[source + 1] > packets.send_ptr[source]:
        cores.packets[source] += packets_of(packets, source, value)


@inner_kernel
def _segment(
    program: Sweeps,
    plain: Plain,
    cores: Cores,
    arrived: Int64,
    log: Log,
    core: int,
    tick: int,
    here: int,
    steps: int,
    segment: int,
    emitted: int,
    pulses: int,
) -> tuple[int, int]:
    """Sweep one segment and note its updates; returns emissions and pulses so far."""
    first, sent, stray = program.segment_ptr[segment], pulses, 0
    since = tick - program.segment_offset[segment]
    step = since // program.period
    if plain.kind[segment] >= 0 and step * program.period == since and 0 <= step < steps:
        paid = sweep_plain(
            program, plain, cores.state.v, arrived, segment, cores.touched, cores.flags
        )
        emitted, pulses = _collect(program, cores, log, segment, emitted, pulses)
    else:
        emitted, pulses, stray, paid = sweep_segment(
            program, cores.state, cores.wires, arrived, tick, steps, segment,
            cores.touched, log.emission, emitted, pulses,
        )  # fmt: skip
        _find(program, log, first, sent, pulses)
    count, after = np.int64(log.core_updates[here, core]), first
    for pulse in range(sent, pulses):
        neuron = np.int64(log.neuron[pulse])
        for i in range(after, neuron + 1):
            count += cores.touched[i]
        log.updates[pulse] = count
        after = neuron + 1
    log.core_updates[here, core] += paid
    log.segment_updates[here, segment] = paid
    cores.updated[segment] += paid
    cores.fired[segment] += pulses - sent
    log.done[1] += stray
    return emitted, pulses


@inlined
def _find(program: Sweeps, log: Log, first: int, sent: int, pulses: int) -> None:
    """Note which neuron sent each pulse."""
    i = first
    for pulse in range(sent, pulses):
        while program.neuron_source[i] != log.emission.pulse_source[pulse]:
            i += 1
        log.neuron[pulse] = i


@inner_kernel
def _collect(
    program: Sweeps, cores: Cores, log: Log, segment: int, emitted: int, pulses: int
) -> tuple[int, int]:
    """List who fired; eight neurons are looked at together, and most of them are silent."""
    first, emission = program.segment_ptr[segment], log.emission
    size = program.segment_ptr[segment + 1] - first
    flags, words = cores.flags, cores.words
    words[size >> 3] &= np.uint64((1 << (8 * (size & 7))) - 1)
    for w in range((size + 7) >> 3):
        if words[w] == 0:
            continue
        for j in range(8 * w, 8 * w + 8):
            if flags[j]:
                source = program.neuron_source[first + j]
                emission.source[emitted] = source
                emission.value[emitted] = 1
                emission.pulse_source[pulses] = source
                emission.pulse_value[pulses] = 1
                log.neuron[pulses] = first + j
                emitted += 1
                pulses += 1
    return emitted, pulses
