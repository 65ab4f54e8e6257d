"""Placement as a quadratic assignment: dense flows, any distances (Koopmans & Beckmann 1957).

On a machine without multicast every net is a pair of cores, so that weighted hops are
``sum_ij flow_ij distance[site_i, site_j] + sum_i linear[i, site_i]``: the form of the benchmark
library QAPLIB (Burkard, Karisch & Rendl, 1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnc.compiler.place.problem import Problem
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.errors import ModelError

LARGEST = 256  # sites; the tables of the search grow with their square


@dataclass(frozen=True, eq=False)
class Quadratic:
    """Facilities to be assigned to sites.

    Attributes:
        flow: [n, n] from facility to facility.
        distance: [m, m] from site to site, m >= n.
        linear: [n, m] cost of a facility on a site by itself (flow from the host port).
    """

    flow: RealArray
    distance: RealArray
    linear: RealArray

    def __post_init__(self) -> None:
        n, m = self.flow.shape[0], self.distance.shape[0]
        square = self.flow.shape == (n, n) and self.distance.shape == (m, m)
        if not square or n > m or self.linear.shape != (n, m):
            raise ModelError(
                "a quadratic assignment needs square flows and distances, and a site for each",
                found=f"{self.flow.shape}, {self.distance.shape}, {self.linear.shape}",
            )

    @staticmethod
    def of(flow: RealArray, distance: RealArray) -> Quadratic:
        """A problem without a linear part."""
        return Quadratic(
            np.asarray(flow, np.float64),
            np.asarray(distance, np.float64),
            np.zeros((len(flow), len(distance))),
        )

    @cached_property
    def square(self) -> Quadratic:
        """The same problem with idle facilities on the sites that are left over."""
        idle = self.distance.shape[0] - self.flow.shape[0]
        if not idle:
            return self
        flow = np.pad(self.flow, ((0, idle), (0, idle)))
        return Quadratic(flow, self.distance, np.pad(self.linear, ((0, idle), (0, 0))))

    @cached_property
    def symmetric(self) -> Quadratic | None:
        """The same costs with both matrices symmetric; None when neither of them is."""
        flow, distance = self.flow, self.distance
        if (distance == distance.T).all():
            flow = (flow + flow.T) / 2
        elif (flow == flow.T).all():
            distance = (distance + distance.T) / 2
        else:
            return None
        return Quadratic(flow, distance, self.linear)

    @cached_property
    def whole(self) -> Quadratic:
        """The same problem in whole numbers, rounded if need be, so that sums are exact."""
        for flow, distance in ((1, 1), (2, 1), (1, 2)):  # halves come from ``symmetric``
            scaled = self.flow * flow, self.distance * distance, self.linear * (flow * distance)
            if all((x == np.rint(x)).all() for x in scaled):
                return Quadratic(*scaled)
        largest = max(self.flow.max() * self.distance.max(), self.linear.max(), 1e-300)
        scale = 2.0 ** np.floor(np.log2(2.0**40 / largest))
        side = 2.0**10 / max(self.distance.max(), 1e-300)
        if (self.distance == np.rint(self.distance)).all():
            side = 1.0
        return Quadratic(
            np.rint(self.flow * (scale / side)),
            np.rint(self.distance * side),
            np.rint(self.linear * scale),
        )

    def cost(self, site: IntArray) -> float:
        """Cost of an assignment [n]."""
        among = (self.flow * self.distance[np.ix_(site, site)]).sum()
        return float(among + self.linear[np.arange(site.size), site].sum())


def quadratic(problem: Problem) -> Quadratic | None:
    """Cores and sites as a quadratic assignment; None with multicast nets or too many sites."""
    sites = problem.sites
    if sites.count > LARGEST or (np.diff(problem.dest_ptr) != 1).any():
        return None
    distance = sites.mesh.distance(sites.router[:, None], sites.router[None]).astype(np.float64)
    flow = np.zeros((problem.cores, problem.cores))
    linear = np.zeros((problem.cores, sites.count))
    outside = problem.net_core < 0
    np.add.at(flow, (problem.net_core[~outside], problem.dest[~outside]), problem.weight[~outside])
    away = sites.mesh.distance(np.array(problem.host), sites.router)
    np.add.at(linear, problem.dest[outside], problem.weight[outside, None] * away)
    if problem.zones is not None:
        # A site outside a zone costs more than any placement.
        dear = np.ceil(flow.sum() * distance.max(initial=0.0) + linear.max(axis=1).sum() + 1.0)
        held = problem.zones.held
        linear[held] += dear * ~problem.zones.allowed[problem.zones.zone[held]]
    return Quadratic(flow, distance, linear)
