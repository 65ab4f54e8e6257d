"""Can this target compute this network, node by node; and the little that must be added to it.

All limits come from the target description.  A finding is ``ok``, ``assumed`` (the target's
description does not settle it; the assumption is printed) or ``refused``.
"""

from __future__ import annotations

from collections.abc import Iterable

from snnc.compiler.legalize.findings import Finding, refused
from snnc.compiler.legalize.integer import integer_neuron
from snnc.compiler.legalize.readouts import add_readouts, forgetful
from snnc.compiler.legalize.real import real_neuron
from snnc.compiler.legalize.synapses import packets, synapses
from snnc.compiler.wire import Preference
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Lut, MatMul, Mul, Output, Pool, Reduce, Rescale
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
    heard = {name for node in network.nodes if not isinstance(node, Output) for name in node.inputs}
    for node in network.order:
        if isinstance(node, RealNeuron):
            result.extend(real_neuron(network, node, target))
        elif isinstance(node, Neuron):
            assert isinstance(network, IntegerNetwork)
            result.extend(integer_neuron(node, target))
            if node.name in heard:
                result.extend(packets(node, network.types[node.name], target, wire_code))
        elif isinstance(node, Input):
            result.extend(packets(node, node.type, target, wire_code))
        elif isinstance(node, Output) and isinstance(network, Network):
            if not isinstance(network.node[node.inputs[0]], RealNeuron):
                result.append(forgetful(node, target))
        elif (isinstance(node, Pool) and node.op == "max") or isinstance(
            node, Mul | MatMul | Reduce | Rescale | Lut
        ):
            what = "max pooling" if isinstance(node, Pool) else type(node).__name__
            remedy = "train with average pooling or strided convolutions"
            if not isinstance(node, Pool):
                remedy = "the reference simulator runs it; no chip core here computes it"
            result.append(refused(node, f"{what} is not a sum over synapses", remedy))
    if isinstance(network, IntegerNetwork) and not any(f.kind == "refused" for f in result):
        result.extend(synapses(network, target))
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
    """Add readout populations where outputs read operators, then check every node.

    Raises:
        UnsupportedError: naming all nodes that the target cannot express.
    """
    result = add_readouts(network, target)
    require(verdicts(result, target, wire_code), target)
    return result
