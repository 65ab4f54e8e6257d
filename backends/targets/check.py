"""Self-check of a target: facts that hold on any real machine.

Used by ``snnc targets NAME``, before a target is compiled for, and by a test over all shipped
files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from snnc.backends.targets.audit import (
    AXON_NAMES,
    KERNEL_AXON_NAMES,
    KERNEL_NAMES,
    LAYER_NAMES,
    core_names,
)
from snnc.backends.targets.expression import evaluate
from snnc.backends.targets.loader import MAX_PROBLEMS, load
from snnc.ir.errors import TargetError
from snnc.ir.target import Cost, Quantity, Target

_SAMPLES = (1, 64, 200, 1024)
_MOST = 1 << 53
"""What is counted is below, so that it is the same number as a real one."""


def load_sound(name_or_path: str | Path) -> Target:
    """``load`` for use, not for looking: a description that contradicts itself is refused.

    Raises:
        TargetError: as ``load``, or naming what the self-check found.
    """
    target = load(name_or_path)
    findings = check_target(target)
    if findings:
        raise TargetError(
            "the target description contradicts itself",
            where=str(name_or_path),
            found="".join(f"\n    {finding}" for finding in findings[:MAX_PROBLEMS]),
            remedy="correct the file; `snnc targets FILE` repeats this check",
        )
    return target


def check_target(target: Target) -> list[str]:
    """Findings about a description, each starting with its field; empty when it is sound."""
    return [
        *_topology(target),
        *_quantities(target),
        *_expressions(target),
        *_formats(target),
        *_counting(target),
        *_costs(target),
        *_barrier(target),
        *_routes(target),
        *_asynchronous(target),
        *_layers(target),
    ]


def _topology(target: Target) -> Iterator[str]:
    topology = target.topology
    width, height = topology.grid
    cores = width * height * topology.cores_per_router
    if topology.usable_cores > cores - len(topology.defects):
        yield (
            f"topology.usable_cores: {topology.usable_cores}, but {width} x {height} routers with "
            f"{topology.cores_per_router} cores less {len(topology.defects)} defects are fewer"
        )
    x, y = topology.host_router
    if not (0 <= x < width and 0 <= y < height):
        yield f"topology.host_router: ({x}, {y}) is outside the {width} x {height} grid"
    for defect in topology.defects:
        size = (width, height, topology.cores_per_router)
        if any(not 0 <= place < limit for place, limit in zip(defect, size, strict=True)):
            yield f"topology.defects: {defect} is outside the grid"
    if topology.broken_chip_links and topology.links != "mesh":
        yield (
            f"topology.broken_chip_links: routes of a {topology.links} go round both ways, so a "
            "rectangle without broken borders would not hold them; leave out the chips (--chips)"
        )
    for (ax, ay), (bx, by) in topology.broken_chip_links:
        if min(ax, ay, bx, by) < 0 or abs(ax - bx) + abs(ay - by) != 1:
            yield f"topology.broken_chip_links: {(ax, ay)} and {(bx, by)} are no neighbours"


def _positive(target: Target) -> Iterator[tuple[str, Quantity]]:
    yield "execution.cycle_s", target.execution.cycle_s
    yield "execution.tick_s", target.execution.tick_s
    for name in ("packets_per_cycle", "chip_link_cycles"):
        yield f"noc.{name}", getattr(target.noc, name)
    yield "spike.packet_bits", target.spike.packet_bits
    yield "static_w_per_chip", target.static_w_per_chip
    yield from _counted(target)


def _counted(target: Target) -> Iterator[tuple[str, Quantity]]:
    """What there is a whole number of."""
    yield "topology.max_chips", target.topology.max_chips
    for name in ("buffer_packets", "injection_packets", "receive_packets", "virtual_channels"):
        yield f"noc.{name}", getattr(target.noc, name)
    if target.noc.table_entries is not None:
        yield "noc.table_entries", target.noc.table_entries
    for name, resource in target.core.resources.items():
        yield f"core.resources.{name}.capacity", resource.capacity
    for name, table in target.core.tables.items():
        yield f"core.tables.{name}.capacity", table.capacity


def _quantities(target: Target) -> Iterator[str]:
    for path, quantity in _positive(target):
        if quantity.v is not None and not quantity.v > 0:
            yield f"{path}: {quantity.v} is not positive"
    delay = target.core.max_delay
    for path, quantity in (*_counted(target), ("core.max_delay", delay)):
        value = quantity.v
        if value is not None and not (abs(value) <= _MOST and value == int(value)):
            yield f"{path}: {value} is no whole number up to 2^53"
    if delay.v is not None and delay.v < 0:
        yield f"core.max_delay: {delay.v} is negative"
    for path, number, least, most in (
        ("execution.min_delay", target.execution.min_delay, 0, 1 << 20),
        ("spike.payload_bits", target.spike.payload_bits, 0, 62),
        ("core.state_bytes", target.core.state_bytes, 0, 1 << 20),
        ("core.max_targets_per_neuron", target.core.max_targets_per_neuron, 1, _MOST),
        *(("core.index_bits", bits, 1, 62) for bits in target.core.index_bits),
    ):
        if number is not None and not least <= number <= most:
            yield f"{path}: {number} is not within {least} to {most}"


def _expressions(target: Target) -> Iterator[str]:
    counted = core_names(target.core.encodings)
    for name, resource in target.core.resources.items():
        texts = {"use": resource.use, "lower_bound": resource.lower_bound}
        for key, text in texts.items():
            if text is not None:
                yield from _growing(f"core.resources.{name}.{key}", text, counted)
        for encoding, text in (resource.use_per_axon or {}).items():
            path = f"core.resources.{name}.use_per_axon.{encoding}"
            names = KERNEL_AXON_NAMES if encoding == "kernel" else AXON_NAMES
            yield from _growing(path, text, names)
            if encoding not in target.core.encodings:
                yield f"{path}: not in core.encodings"
        if resource.use_per_kernel is not None:
            path = f"core.resources.{name}.use_per_kernel"
            yield from _growing(path, resource.use_per_kernel, KERNEL_NAMES)


def _growing(path: str, text: str, names: frozenset[str]) -> Iterator[str]:
    """Using more never costs less, and never a negative amount."""
    try:
        values = [evaluate(text, dict.fromkeys(names, n)) for n in (0, *_SAMPLES)]
    except TargetError as error:
        yield f"{path}: {error.problem}"
        return
    if min(values) < 0 or sorted(values) != values:
        yield f"{path}: negative or falling use {values} for counts of 0, {_SAMPLES}"


def _formats(target: Target) -> Iterator[str]:
    neuron, weight = target.neuron, target.core.weight
    low, high = neuron.input_shift
    if not 0 <= low <= high <= 30:
        yield f"neuron.input_shift: {low}..{high} is not a rising range within 0..30"
    if not weight.bits or min(weight.bits) < 1 or max(weight.bits) > 32:
        yield f"core.weight.bits: {weight.bits} is not within 1..32"
    if not neuron.reset:
        yield "neuron.reset: no reset kind"
    for name in ("leak_multiplier", "current_multiplier"):
        span = getattr(neuron, name)
        if span is not None and not 0 <= span[0] <= span[1] <= 1 << neuron.leak_bits:
            yield f"neuron.{name}: {span} is not a rising range within 0..2^{neuron.leak_bits}"
    for name in ("state_bits", "current_bits", "threshold_bits", "leak_bits"):
        if not 1 <= getattr(neuron, name) <= 62:
            yield f"neuron.{name}: {getattr(neuron, name)} is not within 1..62"
    for kind, cost in neuron.reset.items():
        if cost.compartments < 1:
            yield f"neuron.reset.{kind}.compartments: {cost.compartments} is not positive"


def _counting(target: Target) -> Iterator[str]:
    neuron, spike = target.neuron, target.spike
    if neuron.refire_slots < 0:
        yield f"neuron.refire_slots: {neuron.refire_slots} is negative"
    if neuron.refire_slots and "unary" not in spike.codes:
        yield "neuron.refire_slots: firing again is a unary code, which spike.codes lacks"
    if neuron.refire_slots and "subtract" not in neuron.reset:
        yield "neuron.refire_slots: firing again needs a reset by subtraction"


def _costs(target: Target) -> Iterator[str]:
    if target.default_cost not in target.cost_sets:
        yield f"default_cost: {target.default_cost!r} is not one of the cost sets"
    for name, table in target.cost_sets.items():
        for event, cost in table.events.items():
            path = f"cost_sets.{name}.events.{event}"
            yield from _cost(path, cost)
            if (event == "all_in_synaptic_event") != (table.scope == "all_in"):
                yield f"{path}: per-term and all-in costs never share a set"
            if table.scope == "unpriced" and cost.energy is not None:
                yield f"{path}.energy: a price in an unpriced set"
        yield from _cost(f"cost_sets.{name}.load_byte", table.load_byte)


def _cost(path: str, cost: Cost) -> Iterator[str]:
    for term in ("energy", "latency"):
        value = getattr(cost, term)
        if value is not None and value < 0:
            yield f"{path}.{term}: {value} is negative"


def _barrier(target: Target) -> Iterator[str]:
    times = [target.execution.barrier_s[key] for key in sorted(target.execution.barrier_s)]
    if any(key < 1 for key in target.execution.barrier_s):
        yield "execution.barrier_s: keys count cores or tiles, from 1"
    if any(time < 0 for time in times) or sorted(times) != times:
        yield f"execution.barrier_s: {times} falls as more of the chip is used"


def _routes(target: Target) -> Iterator[str]:
    noc = target.noc
    if not noc.route_shapes:
        yield "noc.route_shapes: no shape of routes"
    if noc.table_entries is not None and not noc.multicast:
        yield "noc.table_entries: tables of keys and masks need noc.multicast"


def _asynchronous(target: Target) -> Iterator[str]:
    """A machine without ticks has nothing to hold a packet for, and here one router."""
    if target.execution.sync != "async":
        return
    if target.topology.grid != (1, 1) or target.topology.max_chips.v != 1:
        yield "topology: an asynchronous machine is one chip with one router (a star)"
    if target.execution.min_delay or target.core.max_delay.v != 0:
        yield "execution.min_delay, core.max_delay: without ticks both are 0"
    if target.execution.tick_s.v is None:
        yield "execution.tick_s: an asynchronous machine needs the time of one step of its input"
    neuron = target.neuron
    if (
        neuron.leak != "none" or neuron.current or neuron.bias_bits is not None
        or neuron.refractory_max or neuron.adaptation or neuron.emission or neuron.recovery
        or neuron.sigma_delta
    ):  # fmt: skip
        yield "neuron: leak, current, bias, refractory time, adaptation, emission need ticks"
    if set(target.spike.codes) - {"burst"}:
        yield f"spike.codes: {target.spike.codes} need ticks; an asynchronous machine has bursts"


def _layers(target: Target) -> Iterator[str]:
    layers = target.layers
    if layers is None:
        return
    slots = target.topology.cores_per_router
    if target.topology.grid != (1, 1):
        yield "topology.grid: cores that hold layers stand at one router"
    for name, resource in layers.resources.items():
        if len(resource.capacity) != slots or min(resource.capacity, default=0) < 1:
            yield f"layers.resources.{name}.capacity: not a positive number for each of {slots}"
        yield from _growing(f"layers.resources.{name}.use", resource.use, LAYER_NAMES)
    if layers.synops_per_s and len(layers.synops_per_s) != slots:
        yield f"layers.synops_per_s: not a number for each of the {slots} cores"
    if target.core.stores_kernels:
        yield "core.encodings: a core that holds one layer stores its kernels by layers.resources"
    if not layers.limits.pools or not layers.limits.strides:
        yield "layers.limits: no stride or no pool is allowed at all"
