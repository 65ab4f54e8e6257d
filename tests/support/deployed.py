"""From an integer network to a checked deployment, as the pipeline does it."""

from __future__ import annotations

from support.mapping_check import deployment

from snnc.compiler.legalize import legalize
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.retime import retime
from snnc.compiler.verify import verify
from snnc.compiler.wire import Preference, wire_codes
from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.target import Target


def deployed(
    network: IntegerNetwork,
    target: Target,
    steps: int,
    chips: int = 1,
    wire_code: Preference = "auto",
) -> Deployment:
    """Legalized, scheduled, mapped and verified."""
    legal = legalize(network, target, wire_code)
    codes = wire_codes(legal, target, wire_code)
    retiming = retime(legal, target, steps, codes=codes)
    mapping = map_network(legal, retiming, target, chips, None, MapOptions(effort="low"))
    result = deployment(legal, retiming, target, chips, mapping)
    verify(result)
    return result
