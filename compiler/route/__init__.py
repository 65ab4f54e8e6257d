"""Routing: XY trees over the joined mesh, channel loads, and the deadlock certificate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.route.certificate import certify
from snnc.compiler.route.trees import grow
from snnc.compiler.traffic import Traffic, channel_loads
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import Certificate, RouteTables
from snnc.ir.errors import UnsupportedError
from snnc.ir.target import Target
from snnc.ir.topology import Mesh


@dataclass(frozen=True, eq=False)
class Routing:
    """Routes, their proof, and what they cost.

    Attributes:
        channels: [channels, 2] from-router and to-router of every channel used.
        load: [channels] expected packets per sample through it.
        hops: [nets] tree edges of every net.
        reach: [deliveries] hops from the sender to each destination.
    """

    tables: RouteTables
    certificate: Certificate
    channels: IntArray
    load: RealArray
    hops: IntArray
    reach: IntArray


def route(traffic: Traffic, router: IntArray, target: Target, mesh: Mesh) -> Routing:
    """Route all nets.

    Args:
        traffic: nets between cores.
        router: [cores] router each core sits at.
        target: whose routing rule applies.
        mesh: the joined mesh.

    Raises:
        UnsupportedError: the target's routing rule is not XY.
        VerificationError: the routes could deadlock (never for XY on a mesh).
    """
    if target.noc.routing != "xy":
        raise UnsupportedError("unknown routing rule", where=target.id, found=target.noc.routing)
    host = mesh.router(*target.topology.host_router)
    root = np.where(traffic.net_core < 0, host, router[traffic.net_core])
    parts = grow(root, traffic.dest_ptr, router[traffic.dest], mesh.width, mesh.routers)
    branch_ptr, branch_router, branch_parent, delivery_branch, reach = parts
    tables = RouteTables(
        net_core=traffic.net_core,
        branch_ptr=branch_ptr,
        branch_router=branch_router,
        branch_parent=branch_parent,
        delivery_ptr=traffic.dest_ptr,
        delivery_branch=delivery_branch,
        delivery_core=traffic.dest,
        send_ptr=traffic.send_ptr,
        send_net=traffic.send_net,
    )
    channels, load = channel_loads(tables, traffic.rate, mesh.routers)
    hops = np.diff(branch_ptr) - 1
    return Routing(tables, certify(tables, mesh), channels, load, hops, reach)
