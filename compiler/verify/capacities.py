"""Rules "capacity", "profiles", "weights" and "delay": a recount of what every core holds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnc.backends.targets.capacity import (
    Usage,
    axon_cost,
    core_usage,
    delay_bits,
    index_bits,
    kernel_cost,
    weight_bits,
)
from snnc.compiler.verify.kernels import StoredKernels
from snnc.compiler.verify.report import Findings, Violation
from snnc.compiler.verify.subject import Subject, in_slices, wide
from snnc.compiler.verify.tables import check_profiles
from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel
from snnc.ir.neuron import Neuron
from snnc.ir.target import Target

AXONS_AT_ONCE = 1 << 20


def check_capacity(
    subject: Subject, findings: Findings, kernels: StoredKernels | None = None
) -> None:
    """Recount every resource and every parameter table of every core.

    Args:
        kernels: of a target whose cores may store kernels.
    """
    target = subject.deployment.target
    bits = core_weight_bits(subject)
    counts = recount(subject, bits)
    rows = _axon_use(subject, bits)
    if kernels is not None:
        counts |= kernels.counts
        rows = {name: use + _kernel_use(target, name, kernels, bits) for name, use in rows.items()}
    usage = core_usage(target, counts, rows)
    for name, use in usage.items():
        findings.count("capacity", use.used.size)
        if use.kind == "unchecked":
            findings.unchecked.append(f"core resource {name}: {_why(target, name, use)}")
        for core in np.flatnonzero(use.exceeded)[:50]:
            found = f"{use.used[core]} {use.unit} of {name}"
            findings.add("capacity", subject.core_name(int(core)), found, use.available)
    most = target.core.max_targets_per_neuron
    if most is not None:
        for core in np.flatnonzero(counts["max_targets_per_neuron"] > most)[:50]:
            found = f"a neuron sends to {counts['max_targets_per_neuron'][core]} cores"
            findings.add("capacity", subject.core_name(int(core)), found, most)
    check_profiles(subject, findings, bits)


def _why(target: Target, name: str, use: Usage) -> str:
    if use.available is None:
        return "the capacity is not public"
    bound = int(use.used.max(initial=0))
    known = f"at least {bound} of {use.available} {use.unit} used" if bound else "no lower bound"
    return f"the accounting is not public; {known}"


def recount(subject: Subject, bits: IntArray) -> dict[str, IntArray]:
    """[cores] every count a resource formula may use, from the tables alone."""
    cores, target = subject.deployment.cores, subject.deployment.target
    source = wide(cores.neuron_source)
    cost = subject.per_source({p.name: compartments(target, p) for p in subject.populations})
    targets = destinations(subject)[source]
    neurons = np.diff(wide(cores.neuron_ptr))
    return {
        "n_neurons": neurons,
        "n_compartments": in_slices(np.add, cores.neuron_ptr, cost[source]),
        "n_axons_in": np.diff(wide(cores.axon_ptr)),
        "n_axons_out": in_slices(np.add, cores.neuron_ptr, targets),
        "n_synapses": cores.core_synapses,
        "max_fan_in": in_slices(np.maximum, cores.neuron_ptr, cores.fan_in),
        "max_targets_per_neuron": in_slices(np.maximum, cores.neuron_ptr, targets),
        "weight_bits": bits,
        "state_bytes": neurons * target.core.state_bytes,
    }


def compartments(target: Target, neuron: Neuron) -> int:
    """Compartments one neuron takes by its reset rule; 1 where the rule is missing altogether."""
    kinds = (neuron.reset.kind,)
    if neuron.reset.kind == "value" and not neuron.reset.amount.any():
        kinds = ("zero", *kinds)  # type: ignore[assignment]
    if neuron.emit != "count":
        return 1
    costs: Mapping[str, int] = {k: cost.compartments for k, cost in target.neuron.reset.items()}
    return next((costs[kind] for kind in kinds if kind in costs), 1)


def destinations(subject: Subject) -> IntArray:
    """[sources] axons each source can address: copies of a spike, twice for a pair of axons."""
    routes = subject.deployment.routes
    copies = np.zeros(subject.sources.total, np.int64)
    _count_copies(routes.send_ptr, routes.send_net, wide(routes.delivery_ptr), copies)
    return subject.axon_pairs * copies


@lean_kernel
def _count_copies(
    send_ptr: IntArray, send_net: IntArray, delivery_ptr: IntArray, copies: IntArray
) -> None:
    """Deliveries [sources] of all nets that a source sends on."""
    for source in range(copies.size):
        for k in range(send_ptr[source], send_ptr[source + 1]):
            net = send_net[k]
            copies[source] += delivery_ptr[net + 1] - delivery_ptr[net]


def core_weight_bits(subject: Subject) -> IntArray:
    """[cores] narrowest weight format for all weights stored in a core (the widest if none)."""
    target = subject.deployment.target
    widest = max(target.core.weight.bits)
    pairs = zip(*weight_extremes(subject), strict=True)
    found = [weight_bits(target, int(size), int(low)) or widest for size, low in pairs]
    return np.array(found, np.int64)


def weight_extremes(subject: Subject) -> tuple[IntArray, IntArray]:
    """([cores] largest absolute weight, [cores] smallest input shift)."""
    cores, shapes = subject.deployment.cores, subject.shapes
    size = np.maximum(shapes.heaviest, -shapes.lightest)
    largest = np.zeros(cores.count, np.int64)
    for some, axons in cores.parts(AXONS_AT_ONCE):
        ptr = cores.axon_ptr[some.start : some.stop + 1] - axons.start
        largest[some] = in_slices(np.maximum, ptr, size[subject.rows.shape[axons]])
    shift = subject.per_source({p.name: p.input_shift for p in subject.populations})
    of = shift[cores.neuron_source]
    return largest, in_slices(np.minimum, cores.neuron_ptr, of, empty=64)


def _axon_use(subject: Subject, bits: IntArray) -> dict[str, IntArray]:
    """[cores] sum over input axons of every resource accounted per axon, as encoded."""
    cores, target = subject.deployment.cores, subject.deployment.target
    index = index_bits(target, np.diff(wide(cores.neuron_ptr)))
    priced = {n: r for n, r in target.core.resources.items() if r.use_per_axon is not None}
    result: dict[str, IntArray] = {n: np.zeros(cores.count, np.int64) for n in priced}
    for some, axons in cores.parts(AXONS_AT_ONCE) if priced else ():
        core = subject.axon_core[axons]
        entries = row_entries(subject, axons)
        fields = (bits[core], delay_bits(wide(cores.axon_delay[axons])), index[core])
        for name, resource in priced.items():
            cost = np.zeros(core.size, np.int64)
            for number, encoding in enumerate(target.core.encodings):
                mine = cores.axon_encoding[axons] == number
                stored = (*fields, entries["dense"])
                cost[mine] = axon_cost(
                    resource, encoding, entries[encoding][mine], *(f[mine] for f in stored)
                )
            ptr = cores.axon_ptr[some.start : some.stop + 1] - axons.start
            result[name][some] = in_slices(np.add, ptr, cost)
    return result


def _kernel_use(target: Target, name: str, kernels: StoredKernels, bits: IntArray) -> IntArray:
    """[cores] what their kernels cost of a resource, beside their axons."""
    resource, (cores, kinds) = target.core.resources[name], kernels.kernels.shape
    taps, width = np.tile(kernels.taps, cores), np.repeat(bits, kinds)
    cost = kernel_cost(resource, taps, width).reshape(cores, kinds)
    result: IntArray = (kernels.kernels * cost).sum(axis=1)
    return result


def row_entries(subject: Subject, axons: slice) -> dict[str, IntArray]:
    """[axons] entries a row stores, by encoding: a dense row also stores the gaps in its span.

    A bitmask row stores its synapses, and one flag for each slot of the span; a row of kernels
    nothing of its own.
    """
    neurons = np.diff(wide(subject.deployment.cores.neuron_ptr))
    shape, shapes = subject.rows.shape[axons], subject.shapes
    count = shapes.length[shape]
    span = np.where(count > 0, shapes.last[shape] - shapes.first[shape] + 1, 0)
    crossbar = neurons[subject.axon_core[axons]]
    rows = {"sparse": count, "bitmask": count, "dense": span, "crossbar": crossbar}
    return rows | {"kernel": np.zeros_like(count)}


def check_delay(subject: Subject, findings: Findings) -> None:
    """Every axon delay fits the field of the target."""
    delay = subject.deployment.cores.axon_delay
    limit = subject.deployment.target.core.max_delay.v
    findings.count("delay", delay.size)
    if limit is None:
        findings.unchecked.append("axon delay: the largest delay is not public")
        return
    for axon in np.flatnonzero(delay > limit)[:50]:
        core = subject.core_name(int(subject.axon_core[axon]))
        findings.add("delay", f"axon {axon} of {core}", f"{delay[axon]} extra ticks", limit)


def check_weights(subject: Subject, findings: Findings) -> None:
    """Every weight is in the range of the widest format; distinct weights where limited."""
    cores, form = subject.deployment.cores, subject.deployment.target.core.weight
    high = (1 << (max(form.bits) - int(form.signed))) - 1
    low = -high if form.signed else 0
    findings.count("weights", subject.rows.synapses)
    astray = (subject.rows.weight < low) | (subject.rows.weight > high)
    if astray.any():
        for entry, axon, weight in subject.first_synapses(astray, 50):
            core = subject.core_name(int(subject.axon_core[axon]))
            where = f"synapse {entry} from {subject.name(int(cores.axon_source[axon]))} in {core}"
            findings.add("weights", where, weight, f"{low} to {high}")
    _formats(subject, findings, high)
    if form.distinct_per_neuron is not None:
        _distinct(subject, findings, form.distinct_per_neuron)


def _formats(subject: Subject, findings: Findings, high: int) -> None:
    """Some format reaches down to the input shift of a core's neurons."""
    form = subject.deployment.target.core.weight
    for core, (largest, lowest) in enumerate(zip(*weight_extremes(subject), strict=True)):
        size = min(int(largest), high)
        if weight_bits(subject.deployment.target, size, int(lowest)) is None:
            found = f"no format for an input shift of {lowest}"
            findings.add("weights", subject.core_name(core), found, f"{form.bits} bits")


def _distinct(subject: Subject, findings: Findings, limit: int) -> None:
    cores, rows = subject.deployment.cores, subject.rows
    distinct = np.zeros(cores.neuron_source.size, np.int64)
    for core in range(cores.count):
        part = slice(int(cores.neuron_ptr[core]), int(cores.neuron_ptr[core + 1]))
        _, slot, weight = rows.plain(
            slice(int(cores.axon_ptr[core]), int(cores.axon_ptr[core + 1]))
        )
        kinds, kind = np.unique(weight, return_inverse=True)
        pairs = np.unique(wide(slot) * kinds.size + kind.reshape(-1))
        distinct[part] = np.bincount(pairs // max(kinds.size, 1), minlength=part.stop - part.start)
    bad = np.flatnonzero(distinct > limit)
    findings.many(
        "weights",
        bad.size,
        (
            Violation(
                "weights",
                subject.name(int(cores.neuron_source[slot])),
                f"{distinct[slot]} distinct weights",
                f"{limit} per neuron",
            )
            for slot in bad[:50]
        ),
    )
