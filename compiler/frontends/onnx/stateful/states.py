"""State as pairs of a graph input ``<name>_in`` and a graph output ``<name>_out``."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.compiler.frontends.onnx.graph import OnnxGraph, OnnxNode, OnnxValue
from snnc.ir.errors import ModelError


@dataclass(frozen=True, eq=False)
class Pairs:
    """How the ends of the graph belong together.

    Attributes:
        following: the output that holds the next value of a state, by the input that holds this
            one.
        data: inputs that are no state.
        results: outputs that are no state.
    """

    following: dict[str, str]
    data: tuple[OnnxValue, ...]
    results: tuple[OnnxValue, ...]


def pairs(graph: OnnxGraph) -> Pairs:
    """The pairs of a graph, by the suffixes of its inputs' and outputs' names."""
    outputs = {value.name for value in graph.outputs}
    following = {}
    for value in graph.inputs:
        name = value.name.removesuffix("_in")
        if name != value.name and f"{name}_out" in outputs:
            following[value.name] = f"{name}_out"
    ends = set(following.values())
    return Pairs(
        following,
        tuple(v for v in graph.inputs if v.name not in following),
        tuple(v for v in graph.outputs if v.name not in ends),
    )


def check_states(
    graph: OnnxGraph, found: Pairs, node: OnnxNode, states: tuple[str, ...]
) -> tuple[str, ...]:
    """The state inputs of a neuron, each of which must be its own and come back to it.

    Raises:
        ModelError: operands and results that are no pairs of this operator.
    """
    if len(node.inputs) != 1 + len(states) or len(node.outputs) != 1 + len(states):
        raise ModelError(
            "the operator's states are not given",
            where=node.where(),
            found=f"{len(node.inputs)} operands, {len(node.outputs)} results",
            allowed=f"x, {', '.join(states)} and what they become, because of the attributes",
        )
    for state, before, after in zip(states, node.inputs[1:], node.outputs[1:], strict=True):
        alone = len(graph.consumers.get(before, ())) == 1
        if found.following.get(before) != after or not alone:
            raise ModelError(
                f"the state {state} is no pair of a graph input and a graph output",
                where=node.where(),
                found=f"'{before}' becomes '{after}'",
                allowed="an input NAME_in that nothing else reads, and an output NAME_out",
                remedy="export one time step with explicit state: docs/onnx-stateful.md",
            )
    return node.inputs[1:]
