"""Rules "routes" and "delivery": nets are legal trees that reach exactly the listening cores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.verify.report import Findings, Violation
from snnc.compiler.verify.subject import Subject, Trees, wide
from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.jit import lean_kernel

SHAPES = {
    "xy": ("a turn from y back to x", "x first, then y"),
    "yx": ("a turn from x back to y", "y first, then x"),
    "minimal": ("a detour", "a shortest path to every destination"),
}
RANKS = {"xy": np.array([1, 1, 2, 2, 0, 0]), "yx": np.array([2, 2, 1, 1, 0, 0])}
"""By shape: the turn of every direction (``ir.topology.DIRECTIONS``)."""


def check_routes(subject: Subject, findings: Findings) -> None:
    """Trees are rooted at their sender, use links of the mesh, and follow the routing rule."""
    routes = subject.deployment.routes
    findings.count("routes", routes.branch_router.size)
    for trees in subject.trees():
        report = _Report(subject, findings, trees.first)
        _roots(subject, report, trees)
        _edges(subject, report, trees)
        _exits(subject, report, trees)
        if not subject.deployment.target.noc.multicast:
            _unicast(report, trees)
    _revisits(subject, findings)


@dataclass(frozen=True, eq=False)
class _Report:
    """Notes what is wrong with nets that are numbered from ``first``."""

    subject: Subject
    findings: Findings
    first: int = 0

    def __call__(self, nets: IntArray, found: str, allowed: str) -> None:
        nets = np.unique(nets) + self.first
        names = (self.subject.net_name(int(n)) for n in nets[:50])
        worded = (Violation("routes", name, found, allowed) for name in names)
        self.findings.many("routes", nets.size, worded)


def _roots(subject: Subject, report: _Report, trees: Trees) -> None:
    deployment = subject.deployment
    host = deployment.mesh.router(*deployment.target.topology.host_router)
    wanted = np.where(trees.core < 0, host, subject.router[np.maximum(trees.core, 0)])
    wrong = np.flatnonzero(trees.router[trees.ptr[:-1]] != wanted)
    report(wrong, "the tree starts elsewhere", "the sender's router")


def _edges(subject: Subject, report: _Report, trees: Trees) -> None:
    """Neighbours only, and every net in one of the shapes that the routers can be told."""
    mesh, router, parent, net = subject.deployment.mesh, trees.router, trees.parent, trees.net
    inner = parent >= 0
    side = np.where(inner, mesh.direction(router[parent], router), -1)
    apart = inner & (side < 0)
    report(net[apart], "a hop between routers that are not neighbours", "")
    _broken_borders(subject, report, trees)
    allowed = subject.deployment.target.noc.route_shapes
    if "any" in allowed:
        return
    # In dimension order: diagonal links, then those along one axis, then along the other.
    broken = {
        shape: net[inner & (side >= 0) & (side[parent] >= 0) & (rank[side[parent]] > rank[side])]
        for shape, rank in RANKS.items()
    }
    if "minimal" in allowed:
        broken["minimal"] = _detours(subject, trees)
    wrong = np.ones(trees.nets, np.bool_)
    for shape in allowed:
        fine = np.ones(trees.nets, np.bool_)
        fine[broken[shape]] = False
        wrong &= ~fine
    found, rule = SHAPES[allowed[0]] if len(allowed) == 1 else ("a shape of its own", "")
    report(np.flatnonzero(wrong), found, rule or ", ".join(allowed))


def _broken_borders(subject: Subject, report: _Report, trees: Trees) -> None:
    """No hop leads between two chips whose border has no links."""
    mesh, router, parent = subject.deployment.mesh, trees.router, trees.parent
    inner = np.flatnonzero(parent >= 0)
    x, y = router % mesh.width // mesh.chip_width, router // mesh.width // mesh.chip_height
    for pair in subject.deployment.target.topology.broken_chip_links:
        for (ax, ay), (bx, by) in (pair, pair[::-1]):
            before = (x[parent[inner]] == ax) & (y[parent[inner]] == ay)
            crossed = inner[before & (x[inner] == bx) & (y[inner] == by)]
            found = f"a hop from chip {ax, ay} to {bx, by}"
            report(trees.net[crossed], found, "no broken border")


def _detours(subject: Subject, trees: Trees) -> IntArray:
    """Nets that reach one of their cores by more hops than the distance."""
    mesh, parent, router = subject.deployment.mesh, trees.parent, trees.router
    depth = np.zeros(parent.size, np.int64)
    # A parent comes before its child, so as many rounds as the deepest tree has levels settle.
    while True:
        deeper = np.where(parent >= 0, depth[parent] + 1, 0)
        if np.array_equal(deeper, depth):
            break
        depth = deeper
    net, leaves = trees.delivery_net, trees.leaves
    begin, end = router[trees.ptr[net]], router[leaves]
    late: IntArray = net[depth[leaves] > mesh.distance(begin, end)]
    return late


def _revisits(subject: Subject, findings: Findings) -> None:
    routes = subject.deployment.routes
    twice = np.zeros(routes.nets, np.bool_)
    last = np.full(subject.deployment.mesh.routers, -1, np.int64)
    _visit(routes.branch_ptr, routes.branch_router, last, twice)
    _Report(subject, findings)(np.flatnonzero(twice), "a router is visited twice", "a tree")


@lean_kernel
def _visit(ptr: IntArray, router: IntArray, last: IntArray, twice: AnyArray) -> None:
    """Mark the nets that come twice to a router; ``last`` [routers], -1 at first, is scratch."""
    for net in range(ptr.size - 1):
        for k in range(ptr[net], ptr[net + 1]):
            twice[net] |= last[router[k]] == net
            last[router[k]] = net


def _exits(subject: Subject, report: _Report, trees: Trees) -> None:
    """Copies leave at the router of their core, and no branch ends without a delivery."""
    wrong = trees.router[trees.leaves] != subject.router[trees.delivery_core]
    report(trees.delivery_net[wrong], "a copy leaves at another router than its core's", "")
    useful = np.zeros(trees.router.size, np.bool_)
    useful[trees.leaves] = True
    useful[trees.parent[trees.parent >= 0]] = True
    report(trees.net[~useful], "a branch ends without a delivery", "")


def _unicast(report: _Report, trees: Trees) -> None:
    several = np.flatnonzero(np.bincount(trees.delivery_net, minlength=trees.nets) != 1)
    report(several, "not exactly one delivery", "one: no multicast")
    parent = trees.parent
    children = np.bincount(parent[parent >= 0], minlength=parent.size)
    report(trees.net[children > 1], "the path forks", "one path: no multicast")


def check_delivery(subject: Subject, findings: Findings) -> None:
    """Every source sends from where it is, to exactly the cores with an axon for it, once each."""
    cores, routes = subject.deployment.cores, subject.deployment.routes
    findings.count("delivery", routes.send_net.size)
    first = np.zeros((50, 2), np.int64)
    wrong = _strangers(
        wide(routes.send_ptr), routes.send_net, wide(routes.net_core), subject.home, first
    )
    findings.many(
        "delivery",
        wrong,
        (
            Violation(
                "delivery",
                subject.name(source),
                f"sends on {subject.net_name(net)}",
                "nets of its own core (the host port for inputs)",
            )
            for source, net in first[:wrong].tolist()
        ),
    )
    suspect = _suspects(subject)
    if suspect.any():
        chosen = np.flatnonzero(np.repeat(suspect, np.diff(wide(routes.send_ptr))))
        source = np.searchsorted(wide(routes.send_ptr), chosen, side="right") - 1
        sent = _sent(subject, source, wide(routes.send_net[chosen]))
        pairs = subject.listening()
        _compare(subject, findings, sent, pairs[suspect[pairs // cores.count]])


@lean_kernel
def _strangers(
    send_ptr: IntArray, send_net: IntArray, net_core: IntArray, home: IntArray, first: IntArray
) -> int:
    """Count the sends on nets of another core; the ``first`` are listed as (source, net)."""
    count = 0
    for source in range(send_ptr.size - 1):
        for k in range(send_ptr[source], send_ptr[source + 1]):
            if net_core[send_net[k]] != home[source]:
                if count < first.shape[0]:
                    first[count, 0] = source
                    first[count, 1] = send_net[k]
                count += 1
    return count


def _suspects(subject: Subject) -> AnyArray:
    """[sources] bool: the cores reached are not obviously those with an axon."""
    cores, routes = subject.deployment.cores, subject.deployment.routes
    suspect = np.zeros(subject.sources.total, np.bool_)
    ptr, axon = subject.listeners
    _hear(
        wide(routes.send_ptr), routes.send_net, wide(routes.delivery_ptr),
        wide(routes.delivery_core), ptr, axon, subject.axon_core,
        np.full(cores.count, -1, np.int64), suspect,
    )  # fmt: skip
    return suspect


@lean_kernel
def _hear(
    send_ptr: IntArray, send_net: IntArray, delivery_ptr: IntArray, delivery_core: IntArray,
    axon_ptr: IntArray, axons: IntArray, axon_core: IntArray, stamp: IntArray, suspect: AnyArray,
) -> None:  # fmt: skip
    """Mark the cores that each source reaches, and strike out those that listen.

    ``stamp`` [cores], -1 at first, is scratch.
    """
    for source in range(send_ptr.size - 1):
        left, last = 0, -1
        for k in range(send_ptr[source], send_ptr[source + 1]):
            for d in range(delivery_ptr[send_net[k]], delivery_ptr[send_net[k] + 1]):
                core = delivery_core[d]
                suspect[source] |= stamp[core] == source
                stamp[core] = source
                left += 1
        for k in range(axon_ptr[source], axon_ptr[source + 1]):
            core = axon_core[axons[k]]
            if core != last:
                suspect[source] |= stamp[core] != source
                left -= 1
            last = core
        suspect[source] |= left != 0


def _sent(subject: Subject, source: IntArray, net: IntArray) -> IntArray:
    """``source * cores + core`` of every copy of what these sources send on these nets."""
    cores, routes = subject.deployment.cores, subject.deployment.routes
    per_net = np.diff(wide(routes.delivery_ptr))
    copies = per_net[net]
    begin = np.repeat(wide(routes.delivery_ptr)[net], copies)
    within = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    reached = wide(routes.delivery_core)[begin + within]
    result: IntArray = np.repeat(source, copies) * cores.count + reached
    return result


def _compare(subject: Subject, findings: Findings, sent: IntArray, listening: IntArray) -> None:
    unique, times = np.unique(sent, return_counts=True)
    count = subject.deployment.cores.count
    for keys, found, allowed in (
        (unique[times > 1], "receives a spike more than once", "one copy"),
        (np.setdiff1d(unique, listening), "receives a spike without an axon for it", "no copy"),
        (np.setdiff1d(listening, unique), "has an axon that no net reaches", "one copy"),
    ):
        findings.many(
            "delivery",
            keys.size,
            (
                Violation(
                    "delivery",
                    f"{subject.name(int(key) // count)} at {subject.core_name(int(key) % count)}",
                    found,
                    allowed,
                )
                for key in keys[:50]
            ),
        )
