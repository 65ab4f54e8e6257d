"""Rules "routes" and "delivery": nets are legal trees that reach exactly the listening cores."""

from __future__ import annotations

import numpy as np

from snnc.compiler.verify.report import Findings, Violation
from snnc.compiler.verify.subject import Subject, owner, wide
from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.jit import lean_kernel

SHAPES = {
    "xy": ("a turn from y back to x", "x first, then y"),
    "yx": ("a turn from x back to y", "y first, then x"),
    "minimal": ("a detour", "a shortest path to every destination"),
}
RANKS = {"xy": np.array([1, 1, 2, 2, 0, 0]), "yx": np.array([2, 2, 1, 1, 0, 0])}
"""By shape: the turn of every direction (``ir.topology.DIRECTIONS``)."""


def parent_entry(subject: Subject) -> IntArray:
    """[branches] index of the parent in the branch tables, -1 for roots."""
    routes = subject.deployment.routes
    first = wide(routes.branch_ptr)[owner(routes.branch_ptr)]
    parent = wide(routes.branch_parent)
    return np.where(parent < 0, -1, first + parent)


def check_routes(subject: Subject, findings: Findings) -> None:
    """Trees are rooted at their sender, use links of the mesh, and follow the routing rule."""
    routes = subject.deployment.routes
    findings.count("routes", routes.branch_router.size)
    _roots(subject, findings)
    _edges(subject, findings)
    _revisits(subject, findings)
    _exits(subject, findings)
    if not subject.deployment.target.noc.multicast:
        _unicast(subject, findings)


def _report(subject: Subject, findings: Findings, nets: IntArray, found: str, allowed: str) -> None:
    nets = np.unique(nets)
    worded = (Violation("routes", subject.net_name(int(n)), found, allowed) for n in nets[:50])
    findings.many("routes", nets.size, worded)


def _roots(subject: Subject, findings: Findings) -> None:
    deployment = subject.deployment
    routes = deployment.routes
    host = deployment.mesh.router(*deployment.target.topology.host_router)
    core = wide(routes.net_core)
    wanted = np.where(core < 0, host, subject.router[np.maximum(core, 0)])
    root = wide(routes.branch_router)[wide(routes.branch_ptr)[:-1]]
    wrong = np.flatnonzero(root != wanted)
    _report(subject, findings, wrong, "the tree starts elsewhere", "the sender's router")


def _edges(subject: Subject, findings: Findings) -> None:
    """Neighbours only, and every net in one of the shapes that the routers can be told."""
    routes, mesh = subject.deployment.routes, subject.deployment.mesh
    router = wide(routes.branch_router)
    parent = parent_entry(subject)
    inner = parent >= 0
    net = owner(routes.branch_ptr)
    side = np.where(inner, mesh.direction(router[parent], router), -1)
    apart = inner & (side < 0)
    _report(subject, findings, net[apart], "a hop between routers that are not neighbours", "")
    _broken_borders(subject, findings, parent, net)
    allowed = subject.deployment.target.noc.route_shapes
    if "any" in allowed:
        return
    # In dimension order: diagonal links, then those along one axis, then along the other.
    broken = {
        shape: net[inner & (side >= 0) & (side[parent] >= 0) & (rank[side[parent]] > rank[side])]
        for shape, rank in RANKS.items()
    }
    if "minimal" in allowed:
        broken["minimal"] = _detours(subject, parent)
    wrong = np.ones(routes.nets, np.bool_)
    for shape in allowed:
        fine = np.ones(routes.nets, np.bool_)
        fine[broken[shape]] = False
        wrong &= ~fine
    found, rule = SHAPES[allowed[0]] if len(allowed) == 1 else ("a shape of its own", "")
    _report(subject, findings, np.flatnonzero(wrong), found, rule or ", ".join(allowed))


def _broken_borders(subject: Subject, findings: Findings, parent: IntArray, net: IntArray) -> None:
    """No hop leads between two chips whose border has no links."""
    mesh = subject.deployment.mesh
    router = wide(subject.deployment.routes.branch_router)
    inner = np.flatnonzero(parent >= 0)
    x, y = router % mesh.width // mesh.chip_width, router // mesh.width // mesh.chip_height
    for pair in subject.deployment.target.topology.broken_chip_links:
        for (ax, ay), (bx, by) in (pair, pair[::-1]):
            before = (x[parent[inner]] == ax) & (y[parent[inner]] == ay)
            crossed = inner[before & (x[inner] == bx) & (y[inner] == by)]
            _report(subject, findings, net[crossed], f"a hop from chip {ax, ay} to {bx, by}",
                    "no broken border")  # fmt: skip


def _detours(subject: Subject, parent: IntArray) -> IntArray:
    """Nets that reach one of their cores by more hops than the distance."""
    routes, mesh = subject.deployment.routes, subject.deployment.mesh
    depth = np.zeros(parent.size, np.int64)
    # A parent comes before its child, so as many rounds as the deepest tree has levels settle.
    while True:
        deeper = np.where(parent >= 0, depth[parent] + 1, 0)
        if np.array_equal(deeper, depth):
            break
        depth = deeper
    router = wide(routes.branch_router)
    net = owner(routes.delivery_ptr)
    leaving = wide(routes.branch_ptr)[net] + wide(routes.delivery_branch)
    begin, end = router[wide(routes.branch_ptr)[net]], router[leaving]
    late: IntArray = net[depth[leaving] > mesh.distance(begin, end)]
    return late


def _revisits(subject: Subject, findings: Findings) -> None:
    routes = subject.deployment.routes
    twice = np.zeros(routes.nets, np.bool_)
    last = np.full(subject.deployment.mesh.routers, -1, np.int64)
    _visit(routes.branch_ptr, routes.branch_router, last, twice)
    _report(subject, findings, np.flatnonzero(twice), "a router is visited twice", "a tree")


@lean_kernel
def _visit(ptr: IntArray, router: IntArray, last: IntArray, twice: AnyArray) -> None:
    """Mark the nets that come twice to a router; ``last`` [routers], -1 at first, is scratch."""
    for net in range(ptr.size - 1):
        for k in range(ptr[net], ptr[net + 1]):
            twice[net] |= last[router[k]] == net
            last[router[k]] = net


def _exits(subject: Subject, findings: Findings) -> None:
    """Copies leave at the router of their core, and no branch ends without a delivery."""
    routes = subject.deployment.routes
    leaving = wide(routes.branch_ptr)[owner(routes.delivery_ptr)] + wide(routes.delivery_branch)
    core = wide(routes.delivery_core)
    wrong = wide(routes.branch_router)[leaving] != subject.router[core]
    net = owner(routes.delivery_ptr)
    _report(subject, findings, net[wrong], "a copy leaves at another router than its core's", "")
    useful = np.zeros(routes.branch_router.size, np.bool_)
    useful[leaving] = True
    parent = parent_entry(subject)
    useful[parent[parent >= 0]] = True
    dead = owner(routes.branch_ptr)[~useful]
    _report(subject, findings, dead, "a branch ends without a delivery", "")


def _unicast(subject: Subject, findings: Findings) -> None:
    routes = subject.deployment.routes
    several = np.flatnonzero(np.diff(wide(routes.delivery_ptr)) != 1)
    _report(subject, findings, several, "not exactly one delivery", "one: no multicast")
    parent = parent_entry(subject)
    children = np.bincount(parent[parent >= 0], minlength=routes.branch_router.size)
    forked = owner(routes.branch_ptr)[children > 1]
    _report(subject, findings, forked, "the path forks", "one path: no multicast")


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
