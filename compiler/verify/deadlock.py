"""Rule "deadlock": the certificate is a topological order of the channel-dependency graph.

Dally & Seitz (IEEE ToC 36(5), 1987): routing on channels that can be numbered so that every
packet's path rises cannot deadlock.  The graph is rebuilt here from the stored trees: a channel is
a link and a class of its virtual channels; of a multicast branching, every output channel depends
on the input channel.  Where a core accepts packets only while none of its own waits, its two ports
are channels too, and the one into it depends on the one out of it.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.verify.report import Findings, Violation
from snnc.compiler.verify.subject import Subject, wide
from snnc.ir.arrays import IntArray, sorted_unique


def check_deadlock(subject: Subject, findings: Findings) -> None:
    """Every channel in use is in the order, and every dependency goes forward in it."""
    used, pairs = _graph(subject)
    rank = _ranks(subject, findings)
    findings.count("deadlock", used.size)
    missing = used[rank[1][_find(rank, used)] < 0]
    _report(subject, findings, missing, "a channel in use is not certified")
    findings.count("deadlock", len(pairs))
    before, after = (rank[1][_find(rank, pairs[:, column])] for column in (0, 1))
    backward = pairs[(before >= 0) & (after >= 0) & (before >= after)]
    _report(subject, findings, backward[:, 0], "a path goes backward in the order")


def _numbers(subject: Subject) -> int:
    """More than any class of virtual channels, and than any number of a port."""
    deployment = subject.deployment
    entries = wide(deployment.certificate.channels)[:, 2]
    largest = max(int(entries.max(initial=0)), int(deployment.routes.branch_lane.max(initial=0)))
    return max(largest, 2 * deployment.cores.count) + 2


def _graph(subject: Subject) -> tuple[IntArray, IntArray]:
    """([channels] in use, rising, [dependencies, 2] channels)."""
    deployment = subject.deployment
    routers, numbers = deployment.mesh.routers, _numbers(subject)
    refusing = deployment.target.noc.consumption == "after_sending"
    port = (subject.router * routers + subject.router) * numbers
    into = port + 2 * np.arange(deployment.cores.count)
    channels: list[IntArray] = [np.zeros(0, np.int64)]
    pairs: list[IntArray] = [np.zeros((0, 2), np.int64)]
    for trees in subject.trees():
        router, parent = trees.router, trees.parent
        inner = np.flatnonzero(parent >= 0)
        channel = np.full(router.size, -1, np.int64)
        link = router[parent[inner]] * routers + router[inner]
        channel[inner] = link * numbers + trees.lane[inner]
        later = inner[channel[parent[inner]] >= 0]
        some = [np.stack([channel[parent[later]], channel[later]], axis=1)]
        if refusing:
            # What packets of a net hold at its root: the sending core's output, or nothing.
            sender = trees.core[trees.net]
            held = np.where(channel >= 0, channel, np.where(sender >= 0, into[sender] + 1, -1))
            first = inner[(channel[parent[inner]] < 0) & (held[parent[inner]] >= 0)]
            some.append(np.stack([held[parent[first]], channel[first]], axis=1))
            arrived = np.stack([held[trees.leaves], into[trees.delivery_core]], axis=1)
            some.append(arrived[arrived[:, 0] >= 0])
        channels.append(sorted_unique(channel[inner]))
        pairs.append(_distinct(np.concatenate(some)))
    if refusing:
        routes = deployment.routes
        busy = np.intersect1d(wide(routes.delivery_core), wide(routes.net_core))
        pairs.append(np.stack([into[busy], into[busy] + 1], axis=1))
    every = _distinct(np.concatenate(pairs))
    return sorted_unique(np.concatenate([*channels, every.reshape(-1)])), every


def _distinct(pairs: IntArray) -> IntArray:
    """[distinct pairs, 2]."""
    names = sorted_unique(pairs)
    place = np.searchsorted(names, pairs)
    key = sorted_unique(place[:, 0] * names.size + place[:, 1])
    both: IntArray = names[np.stack([key // max(names.size, 1), key % max(names.size, 1)], axis=1)]
    return both


Ranks = tuple[IntArray, IntArray]
"""Sorted channel numbers with a sentinel at the end, and their positions (-1 = not there)."""


def _find(rank: Ranks, channel: IntArray) -> IntArray:
    place = np.searchsorted(rank[0][:-1], channel)
    # The last entry is the sentinel of everything that is not in the certificate.
    return np.where(rank[0][place] == channel, place, rank[0].size - 1)


def _ranks(subject: Subject, findings: Findings) -> Ranks:
    """The certificate's order; its entries must be distinct channels of the machine."""
    mesh, noc = subject.deployment.mesh, subject.deployment.target.noc
    table = wide(subject.deployment.certificate.channels)
    begin, end, virtual = table[:, 0], table[:, 1], table[:, 2]
    inside = ((table[:, :2] >= 0) & (table[:, :2] < mesh.routers)).all(axis=1)
    joined = mesh.direction(np.where(inside, begin, 0), end) >= 0
    core = virtual // 2
    port = inside & (begin == end) & (core >= 0) & (core < subject.router.size)
    port &= subject.router[np.where(port, core, 0)] == begin
    port &= noc.consumption == "after_sending"
    for entry in np.flatnonzero(~port & ~(inside & joined))[:50]:
        where = f"certificate entry {entry}"
        findings.add("deadlock", where, f"{begin[entry]} -> {end[entry]}", "a link of the mesh")
    classes = subject.deployment.routes.lanes
    offered = 1 if noc.virtual_channels.v is None else int(noc.virtual_channels.v)
    if classes > offered:
        found = f"{classes} classes of virtual channels"
        findings.add("deadlock", "routes.branch_lane", found, f"{offered} per link")
    real = (virtual >= 0) & (virtual < classes)
    for entry in np.flatnonzero(~port & ~real)[:50]:
        where = f"certificate entry {entry}"
        allowed = f"0 to {classes - 1}: nets use no other"
        findings.add("deadlock", where, f"virtual channel {virtual[entry]}", allowed)
    good = np.flatnonzero(port | (inside & real))
    number = (begin[good] * mesh.routers + end[good]) * _numbers(subject) + virtual[good]
    unique, first, times = np.unique(number, return_index=True, return_counts=True)
    _report(subject, findings, unique[times > 1], "a channel is listed twice")
    return np.append(unique, -2), np.append(good[first], -1)


def _report(subject: Subject, findings: Findings, channels: IntArray, found: str) -> None:
    numbers = _numbers(subject)
    findings.many(
        "deadlock",
        channels.size,
        (
            Violation("deadlock", _name(subject, *divmod(c, numbers)), found)
            for c in channels[:50].tolist()
        ),
    )


def _name(subject: Subject, link: int, number: int) -> str:
    begin, end = divmod(link, subject.deployment.mesh.routers)
    if begin == end:
        return f"core {number // 2} {'sending' if number % 2 else 'receiving'}"
    one = subject.deployment.routes.lanes == 1
    return f"channel {begin} -> {end}" + ("" if one else f" class {number}")
