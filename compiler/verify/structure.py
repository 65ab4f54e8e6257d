"""Rule "structure": tables have their shapes and no index points outside.

The other rules index freely, so they run only when this one holds.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Shapes, Subject, wide
from snnc.ir.arrays import IntArray
from snnc.ir.core_tables import CoreTables
from snnc.ir.rows import Rows

AXONS_AT_ONCE = 1 << 20
MOST_LANES = 16
"""Classes of virtual channels that a table may name."""


def check_structure(subject: Subject, findings: Findings) -> None:
    """Check all tables; stops at the first level that does not hold."""
    before = findings.broken.get("structure", 0)
    _pointers(subject, findings)
    if findings.broken.get("structure", 0) == before:
        _indices(subject, findings)


def _pointers(subject: Subject, findings: Findings) -> None:
    cores, routes = subject.deployment.cores, subject.deployment.routes
    if cores.location.ndim != 2 or cores.location.shape[1] != 3:
        findings.add("structure", "cores.location", cores.location.shape, "[cores, 3]")
        return
    if subject.deployment.certificate.channels.shape[1:] != (3,):
        findings.add("structure", "certificate.channels", "not three columns", "[channels, 3]")
    pointers: list[tuple[str, IntArray, int, int]] = [
        ("cores.neuron_ptr", cores.neuron_ptr, cores.count, cores.neuron_source.size),
        ("cores.axon_ptr", cores.axon_ptr, cores.count, cores.axon_source.size),
        ("routes.branch_ptr", routes.branch_ptr, routes.nets, routes.branch_router.size),
        ("routes.delivery_ptr", routes.delivery_ptr, routes.nets, routes.delivery_core.size),
        ("routes.send_ptr", routes.send_ptr, subject.sources.total, routes.send_net.size),
    ]
    if isinstance(cores, CoreTables):
        rows = cores.synapse_ptr, cores.axon_source.size, cores.synapse_target.size
        pointers.append(("cores.synapse_ptr", *rows))
    for where, ptr, slices, entries in pointers:
        findings.count("structure", ptr.size)
        good = ptr.shape == (slices + 1,) and ptr[0] == 0 and ptr[-1] == entries
        if not good or (np.diff(wide(ptr)) < 0).any():
            findings.add("structure", where, "malformed pointers", f"{slices} slices of {entries}")
    lengths = (
        ("cores.axon_delay", cores.axon_delay, cores.axon_source.size),
        ("cores.axon_encoding", cores.axon_encoding, cores.axon_source.size),
        ("cores.axon_sign", cores.axon_sign, cores.axon_source.size),
        ("routes.branch_parent", routes.branch_parent, routes.branch_router.size),
        ("routes.branch_lane", routes.branch_lane, routes.branch_router.size),
        ("routes.delivery_branch", routes.delivery_branch, routes.delivery_core.size),
        ("cores.synapse_weight", cores.synapse_weight, cores.synapse_target.size)
        if isinstance(cores, CoreTables)
        else ("cores.rows", cores.rows.shape, cores.axon_source.size),
    )
    for where, array, length in lengths:
        if array.shape != (length,):
            findings.add("structure", where, f"shape {array.shape}", f"[{length}]")


def _indices(subject: Subject, findings: Findings) -> None:
    cores, routes = subject.deployment.cores, subject.deployment.routes
    encodings = len(subject.deployment.target.core.encodings)
    branches = np.diff(wide(routes.branch_ptr))
    delivery_limit = np.repeat(branches, np.diff(wide(routes.delivery_ptr)))
    total, routers = subject.sources.total, subject.deployment.mesh.routers
    delays = np.iinfo(np.int32).max
    for where, array, low, high in (
        ("cores.neuron_source", cores.neuron_source, 0, total),
        ("cores.axon_source", cores.axon_source, 0, total),
        ("cores.axon_delay", cores.axon_delay, 0, delays),
        ("cores.axon_encoding", cores.axon_encoding, 0, encodings),
        ("cores.axon_sign", cores.axon_sign, -1, 2),
        ("routes.net_core", routes.net_core, -1, cores.count),
        ("routes.branch_router", routes.branch_router, 0, routers),
        ("routes.branch_lane", routes.branch_lane, 0, MOST_LANES),
        ("routes.delivery_branch", routes.delivery_branch, 0, delivery_limit),
        ("routes.delivery_core", routes.delivery_core, 0, cores.count),
        ("routes.send_net", routes.send_net, 0, routes.nets),
    ):
        _within(findings, where, array, low, high)
    if isinstance(cores, CoreTables):
        _targets(subject, findings, cores)
    else:
        _shared_targets(subject, findings, cores.rows)
    _parents(subject, findings)
    same = subject.axon_core[1:] == subject.axon_core[:-1]
    falls = np.flatnonzero(same & (cores.axon_source[1:] < cores.axon_source[:-1]))
    if falls.size:
        where = subject.core_name(int(subject.axon_core[falls[0]]))
        findings.add("structure", where, "input axons are not in rising order of their source")


def _targets(subject: Subject, findings: Findings, cores: CoreTables) -> None:
    """Every synapse feeds a neuron of its core."""
    neurons = np.diff(wide(cores.neuron_ptr))
    findings.count("structure", cores.synapse_target.size)
    for some, axons in cores.parts(AXONS_AT_ONCE):
        part = slice(int(cores.synapse_ptr[axons.start]), int(cores.synapse_ptr[axons.stop]))
        values, length = (
            cores.synapse_target[part],
            np.diff(wide(cores.synapse_ptr[axons.start : axons.stop + 1])),
        )
        if values.size and int(values.min()) >= 0 and int(values.max()) < neurons[some].min():
            continue
        limit = np.repeat(neurons[subject.axon_core[axons]], length)
        bad = np.flatnonzero((values < 0) | (values >= limit))
        if bad.size:
            where = f"cores.synapse_target[{part.start + int(bad[0])}]"
            allowed = f"0 to {int(limit[bad[0]]) - 1}"
            findings.add("structure", where, int(values[bad[0]]), allowed)
            return


def _shared_targets(subject: Subject, findings: Findings, rows: Rows) -> None:
    """The same for rows that share shapes, none longer than a core has neurons."""
    cores, shapes = subject.deployment.cores, Shapes.of(rows)
    neurons = np.diff(wide(cores.neuron_ptr))
    findings.count("structure", rows.count + 1 + rows.synapses)
    for _, axons in cores.parts(AXONS_AT_ONCE):
        shape, shift = rows.shape[axons], rows.shift[axons]
        limit = neurons[subject.axon_core[axons]]
        outside = (shapes.first[shape] + shift < 0) | (shapes.last[shape] + shift >= limit)
        filled = shapes.length[shape] > 0
        bad = np.flatnonzero((filled & outside) | (shapes.length[shape] > limit))
        if bad.size:
            row = int(bad[0])
            length, first = int(shapes.length[shape[row]]), int(shapes.first[shape[row]])
            found = f"{length} targets, {first + int(shift[row])} to "
            found += f"{int(shapes.last[shape[row]]) + int(shift[row])}"
            allowed = f"distinct ones of 0 to {int(limit[row]) - 1}"
            findings.add("structure", f"cores.rows[{axons.start + row}]", found, allowed)
            return


def _within(
    findings: Findings, where: str, array: IntArray, low: int, high: int | IntArray
) -> None:
    findings.count("structure", array.size)
    one = isinstance(high, int)
    if one and array.size and low <= int(array.min()) and int(array.max()) < high:
        return
    bad = np.flatnonzero((array < low) | (array >= high))
    if bad.size:
        entry = int(bad[0])
        limit = int(np.broadcast_to(np.asarray(high), array.shape)[entry])
        findings.add("structure", f"{where}[{entry}]", int(array[entry]), f"{low} to {limit - 1}")


def _parents(subject: Subject, findings: Findings) -> None:
    """Every net has a first node without parent, and later nodes whose parent comes before."""
    routes = subject.deployment.routes
    ptr = wide(routes.branch_ptr)
    for empty in np.flatnonzero(np.diff(ptr) < 1).tolist():
        findings.add("structure", subject.net_name(empty), "an empty tree", "a root")
    index = np.arange(routes.branch_router.size) - np.repeat(ptr[:-1], np.diff(ptr))
    parent = wide(routes.branch_parent)
    good = np.where(index == 0, parent == -1, (parent >= 0) & (parent < index))
    findings.count("structure", good.size)
    astray = np.flatnonzero((index == 0) & (wide(routes.branch_lane) != 0))
    for entry in astray[:10].tolist():
        found = f"class {int(routes.branch_lane[entry])} of a root, to which no link leads"
        findings.add("structure", f"routes.branch_lane[{entry}]", found, "0")
    for entry in np.flatnonzero(~good)[:10].tolist():
        net = int(np.searchsorted(ptr, entry, side="right")) - 1
        findings.add(
            "structure",
            subject.net_name(net),
            f"tree node {int(index[entry])} has parent {int(parent[entry])}",
            "-1 for the root, an earlier node for all others",
        )
