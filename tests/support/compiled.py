"""An integer network through legalize, wire codes, retime, map and the checker."""

from __future__ import annotations

from typing import Any

from snnc.compiler.legalize import legalize
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.retime import retime
from snnc.compiler.verify import verify
from snnc.compiler.wire import Preference, wire_codes
from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.target import Target


def compiled(
    network: IntegerNetwork,
    target: Target,
    steps: int,
    wire_code: Preference = "auto",
    rates: dict[str, Any] | None = None,
) -> Deployment:
    """The verified deployment of a network, on one chip."""
    network = legalize(network, target, wire_code)
    codes = wire_codes(network, target, wire_code)
    retiming = retime(network, target, steps, codes=codes)
    mapping = map_network(network, retiming, target, 1, rates, MapOptions(effort="low"))
    deployment = Deployment(
        network, target, 1, retiming.schedule, mapping.cores, mapping.routes,
        mapping.certificate, {}, {},
    )  # fmt: skip
    verify(deployment)
    return deployment
