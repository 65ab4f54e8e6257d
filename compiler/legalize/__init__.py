"""Can this target compute this network, node by node; and the little that must be added to it.

All limits come from the target description.  A finding is ``ok``, ``assumed`` (the target's
description does not settle it, or the compiler adds neurons; both are printed) or ``refused``.
"""

from __future__ import annotations

from collections.abc import Iterable

from snnc.compiler.legalize.findings import Finding
from snnc.compiler.legalize.integer import integer_neuron
from snnc.compiler.legalize.layers import layer_findings
from snnc.compiler.legalize.readouts import add_readouts, forgetful
from snnc.compiler.legalize.real import real_neuron
from snnc.compiler.legalize.rewrites import rewrites, to_be_rewritten, wired
from snnc.compiler.legalize.sigma_delta import fit, fitted_findings
from snnc.compiler.legalize.synapses import packets
from snnc.compiler.wire import Preference
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.lower import limits_of, lower, rewritten
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.target import Target

__all__ = ["Finding", "add_readouts", "findings", "legalize", "require", "verdicts"]


def findings(
    network: Network | IntegerNetwork, target: Target, wire_code: Preference = "auto"
) -> tuple[Finding, ...]:
    """Verdict on every node, in execution order: its problems, or one ``ok``."""
    result: list[Finding] = []
    found = verdicts(network, target, wire_code)
    for node in network.order:
        mine = [f for f in found if f.node == node.name]
        result.extend(mine or [Finding(node.name, type(node).__name__, "ok", "")])
    return tuple(result)


def verdicts(
    network: Network | IntegerNetwork, target: Target, wire_code: Preference = "auto"
) -> tuple[Finding, ...]:
    """Only the findings that say more than ``ok``."""
    result: list[Finding] = []
    if isinstance(network, IntegerNetwork):
        fitted = fit(network, target)
        result.extend(fitted_findings(network, fitted))
        network = fitted
    heard = {name for node in network.nodes if not isinstance(node, Output) for name in node.inputs}
    for node in network.order:
        if isinstance(node, RealNeuron):
            result.extend(real_neuron(network, node, target))
        elif isinstance(node, Neuron):
            assert isinstance(network, IntegerNetwork)
            result.extend(integer_neuron(node, target))
            known = node.delta is None or target.neuron.sigma_delta
            if node.name in heard and known:
                result.extend(packets(node, network.types[node.name], target, wire_code))
        elif isinstance(node, Input):
            result.extend(packets(node, node.type, target, wire_code))
        elif isinstance(node, Output) and isinstance(network, Network):
            if not isinstance(network.node[node.inputs[0]], RealNeuron):
                result.append(forgetful(node, target))
        elif isinstance(network, Network) and rewritten(node):
            result.extend(to_be_rewritten(network.node[node.name], target))
    if isinstance(network, IntegerNetwork):
        lowered = lower(network, limits_of(target))
        result.extend(rewrites(network, lowered, target))
        if not any(f.kind == "refused" for f in result):
            result.extend(wired(lowered, target))
        result.extend(layer_findings(network, target))
    return tuple(result)


def require(found: Iterable[Finding], target: Target) -> None:
    """Raise ``UnsupportedError`` naming every refused node."""
    bad = [f for f in found if f.kind == "refused"]
    if bad:
        raise UnsupportedError(
            f"{target.id} cannot express {len({f.node for f in bad})} node(s) of this network",
            where=", ".join(dict.fromkeys(f.node for f in bad)),
            found="; ".join(f"{f.node}: {f.reason}" for f in bad),
            remedy="; ".join(dict.fromkeys(f.remedy for f in bad if f.remedy)),
        )


def legalize(
    network: IntegerNetwork, target: Target, wire_code: Preference = "auto"
) -> IntegerNetwork:
    """Make a network that the target's cores compute, equal to the given one spike by spike.

    Operators that are no synapses become populations (``snnc.ir.lower``); their costs stand in
    the assumptions.  Outputs that read operators get readout populations.

    Raises:
        UnsupportedError: naming all nodes that the target cannot express.
    """
    network = fit(network, target)
    lowered = lower(network, limits_of(target))
    if lowered.refusals:
        require(verdicts(network, target, wire_code), target)
    result = add_readouts(lowered.network, target)
    require(verdicts(result, target, wire_code), target)
    return result
