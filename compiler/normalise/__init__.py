"""Network to Network: the same numbers, fewer kinds of nodes.

Afterwards the network has no ``Scale``; every ``Bias`` stands directly before a ``Delay`` (its
onset is then later than step 0); no linear operator feeds another; every output reads a
population; and every node contributes to an output.  Real outputs are unchanged.
"""

from __future__ import annotations

from snnc.compiler.normalise.affine import fold_affine
from snnc.compiler.normalise.chains import merge_chains
from snnc.compiler.normalise.prune import flatten_sums, prune
from snnc.ir.errors import CompilerBugError
from snnc.ir.network import Network
from snnc.ir.nodes import Add, Bias, Delay, Output, Scale
from snnc.ir.real_neuron import RealNeuron

__all__ = ["normalise"]


def normalise(network: Network) -> Network:
    """Fold, merge and prune until the properties of the module's docstring hold.

    Raises:
        UnsupportedError: a bias between two linear operators of which one is delayed.
    """
    result = prune(network)
    result = fold_affine(result)
    result = prune(flatten_sums(merge_chains(prune(result))))
    _check(result)
    return result


def _check(network: Network) -> None:
    readers: dict[str, list[object]] = {}
    for node in network.nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node)
    for node in network.nodes:
        broken = isinstance(node, Scale) or (isinstance(node, Add) and len(node.inputs) < 2)
        if isinstance(node, Bias):
            broken = not all(isinstance(user, Delay) for user in readers[node.name])
        if isinstance(node, Output):
            broken = not isinstance(network.node[node.inputs[0]], RealNeuron)
        if broken:
            raise CompilerBugError("normalisation left a node behind", where=node.name)
