"""Rule "deadlock": the certificate is a topological order of the channel-dependency graph.

Dally & Seitz (IEEE ToC 36(5), 1987): routing on channels that can be numbered so that every
packet's path rises cannot deadlock.  The graph is rebuilt here from the stored trees; of a
multicast branching, every output channel depends on the input channel.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.verify.nets import parent_entry
from snnc.compiler.verify.report import Findings, Violation
from snnc.compiler.verify.subject import Subject, wide
from snnc.ir.arrays import IntArray


def check_deadlock(subject: Subject, findings: Findings) -> None:
    """Every channel in use is in the order, and every dependency goes forward in it."""
    routers = subject.deployment.mesh.routers
    rank = _ranks(subject, findings)
    router = wide(subject.deployment.routes.branch_router)
    parent = parent_entry(subject)
    inner = np.flatnonzero(parent >= 0)
    channel = np.full(router.size, -1, np.int64)
    channel[inner] = router[parent[inner]] * routers + router[inner]
    findings.count("deadlock", np.unique(channel[inner]).size)
    missing = np.unique(channel[inner][rank[1][_find(rank, channel[inner])] < 0])
    _report(subject, findings, missing, "a channel in use is not certified")
    later = inner[channel[parent[inner]] >= 0]
    pairs = np.unique(np.stack([channel[parent[later]], channel[later]], axis=1), axis=0)
    findings.count("deadlock", len(pairs))
    before, after = (rank[1][_find(rank, pairs[:, column])] for column in (0, 1))
    backward = pairs[(before >= 0) & (after >= 0) & (before >= after)]
    _report(subject, findings, backward[:, 0], "a path goes backward in the order")


Ranks = tuple[IntArray, IntArray]
"""Sorted channel numbers with a sentinel at the end, and their positions (-1 = not there)."""


def _find(rank: Ranks, channel: IntArray) -> IntArray:
    place = np.searchsorted(rank[0][:-1], channel)
    # The last entry is the sentinel of everything that is not in the certificate.
    return np.where(rank[0][place] == channel, place, rank[0].size - 1)


def _ranks(subject: Subject, findings: Findings) -> Ranks:
    """The certificate's order; its entries must be distinct links of the mesh on channel 0."""
    mesh = subject.deployment.mesh
    table = wide(subject.deployment.certificate.channels)
    begin, end, virtual = table[:, 0], table[:, 1], table[:, 2]
    inside = ((table[:, :2] >= 0) & (table[:, :2] < mesh.routers)).all(axis=1)
    dx = np.abs(begin % mesh.width - end % mesh.width)
    dy = np.abs(begin // mesh.width - end // mesh.width)
    for entry in np.flatnonzero(~inside | (dx + dy != 1))[:50]:
        where = f"certificate entry {entry}"
        findings.add("deadlock", where, f"{begin[entry]} -> {end[entry]}", "a link of the mesh")
    for entry in np.flatnonzero(virtual != 0)[:50]:
        where = f"certificate entry {entry}"
        findings.add("deadlock", where, f"virtual channel {virtual[entry]}", "0: nets use no other")
    good = np.flatnonzero(inside & (virtual == 0))
    number = begin[good] * mesh.routers + end[good]
    unique, first, times = np.unique(number, return_index=True, return_counts=True)
    _report(subject, findings, unique[times > 1], "a channel is listed twice")
    return np.append(unique, -2), np.append(good[first], -1)


def _report(subject: Subject, findings: Findings, channels: IntArray, found: str) -> None:
    routers = subject.deployment.mesh.routers
    findings.many(
        "deadlock",
        channels.size,
        (
            Violation("deadlock", f"channel {c // routers} -> {c % routers}", found)
            for c in channels[:50].tolist()
        ),
    )
