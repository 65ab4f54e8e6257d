"""What the torch interpreter computes; everything else is refused by name before training."""

from __future__ import annotations

from collections.abc import Iterator

from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, Output, Pool, Scale
from snnc.ir.real_neuron import RealNeuron

OPERATORS = (Input, Output, Linear, Bias, Scale, Add, Pool, Index, Delay, RealNeuron)


def require_supported(network: Network) -> Output:
    """The network's one output.

    Raises:
        UnsupportedError: operators or neurons without a counterpart, all of them named; several
            outputs, or one that is no vector of classes.
    """
    found = {node.name: why for node in network.order for why in _obstacles(node)}
    if found:
        raise UnsupportedError(
            "fine-tuning has no gradient for this",
            where=", ".join(found),
            found="; ".join(dict.fromkeys(found.values())),
            allowed="linear operators, sums, pools, gathers, delays, and neurons that reset to a "
            "value or by subtraction",
            remedy="compile without fine-tuning, or train with rounded weights in your framework",
        )
    outputs = network.of_type(Output)
    if len(outputs) != 1 or len(network.shapes[outputs[0].name]) != 1:
        raise UnsupportedError(
            "fine-tuning needs one output with one element per class",
            where=", ".join(o.name for o in outputs),
            found=[network.shapes[o.name] for o in outputs],
        )
    return outputs[0]


def _obstacles(node: RealNode) -> Iterator[str]:
    if not isinstance(node, OPERATORS):
        yield f"a {type(node).__name__}"
    if not isinstance(node, RealNeuron) or node.threshold is None:
        return
    if node.multi_spike == 0:
        yield "spikes without limit"
    if node.adaptation is not None:
        yield "an adaptive threshold"
    if node.refractory:
        yield "a refractory time"
    if node.reset == "multiply":
        yield "a reset that multiplies"
    if node.reset_timing == "snntorch_subtract":
        yield "a reset of snnTorch's Leaky"
