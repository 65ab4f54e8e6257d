"""What a NIR file leaves unsaid about a network, and what known readers do with its nodes."""

from __future__ import annotations

from collections.abc import Iterator

from snnc.compiler.frontends.nir.record import RawFile
from snnc.ir.network import Network
from snnc.ir.nodes import Add, Output

_FEW_READERS = {
    "Delay": "Delay nodes are read by Spyx and snnc",
    "Scale": "Scale nodes are read by Spyx and snnc",
    "Threshold": "Threshold nodes are read by Spyx and snnc",
    "I": "I nodes are read by Spyx and snnc",
    "CubaLI": "CubaLI nodes are read by hxtorch and snnc",
    "AvgPool2d": "AvgPool2d nodes are read by snnTorch, SpikingJelly and snnc",
}


def remarks(network: Network, raw: RawFile) -> Iterator[str]:
    """For people, in a fixed order."""
    kinds = {node.kind for node in raw.nodes.values()}
    yield from (text for kind, text in _FEW_READERS.items() if kind in kinds)
    if any(node.has("groups") and node.integers("groups")[0] > 1 for node in raw.nodes.values()):
        yield "the nir package refuses grouped convolutions unless told type_check=False"
    for node in network.of_type(Output):
        if node.readout != "sum":
            yield f"output {node.name}: the readout ({node.readout} over time) has no place in NIR"
    if any(len(node.inputs) > 2 for node in network.of_type(Add)):
        yield "sums of three and more tensors are added in the order of names"
