"""Which shape flows where: a node's own parameters against what reaches it.

A file's declared shapes are not trusted.  They often carry a batch or time axis; such an axis is
dropped only when the next layer accepts the rest and refuses the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from snnc.compiler.frontends.nir.neurons import KINDS as NEURONS
from snnc.compiler.frontends.nir.neurons import declared_shape
from snnc.compiler.frontends.nir.operators import POOLS, flattened, matrix
from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.arrays import Shape
from snnc.ir.errors import ModelError


def expected(node: RawNode, transpose: bool) -> Shape | None:
    """What the node's own parameters say about its input, if they say it."""
    if node.kind in ("Affine", "Linear"):
        weight = matrix(node, transpose)
        return (*weight.shape[:-2], weight.shape[-1])
    if node.kind in ("Conv1d", "Conv2d"):
        extent = _extent(node)
        return None if extent is None else (_channels(node), *extent)
    if node.kind in NEURONS:
        return declared_shape(node)
    if node.kind == "Flatten":
        return node.shape("input_type")
    return node.real("scale").shape or None if node.kind == "Scale" else None


def _extent(node: RawNode) -> Shape | None:
    """Stored spatial extent of a convolution's input."""
    stored, axes = node.shape("input_shape"), 1 if node.kind == "Conv1d" else 2
    return stored[-axes:] if stored is not None and len(stored) >= axes else None


def _channels(node: RawNode) -> int:
    weight = node.real("weight")
    return int(weight.shape[1]) * node.vector("groups", 1, 1)[0] if weight.ndim > 1 else 0


def accepts(node: RawNode, shape: Shape, transpose: bool) -> bool:
    """Whether a node could take this shape; True where it does not care."""
    if node.kind in ("Conv1d", "Conv2d"):
        extent = _extent(node)
        fits = len(shape) == node.real("weight").ndim - 1 and shape[0] == _channels(node)
        return fits and extent in (None, shape[1:])
    if node.kind in POOLS:
        return len(shape) == 3
    if node.kind in ("Flatten", "Output"):
        return True
    wanted = expected(node, transpose)
    if wanted is None:
        return True
    while len(wanted) > len(shape) and wanted[0] == 1 and node.kind in NEURONS:
        wanted = wanted[1:]
    return wanted == shape


def fitting(
    readers: Sequence[RawNode], candidates: Sequence[Shape], transpose: bool
) -> Shape | None:
    """The first candidate that all readers accept."""
    for shape in candidates:
        if all(accepts(reader, shape, transpose) for reader in readers):
            return shape
    return None


def input_shape(node: RawNode, readers: Sequence[RawNode], transpose: bool, notes: Notes) -> Shape:
    """Shape of an Input: as declared, or without leading axes that the readers refuse.

    Raises:
        ModelError: nothing is declared and no reader knows.
    """
    declared = node.shape("shape")
    if declared is None:
        wanted = [shape for shape in (expected(r, transpose) for r in readers) if shape is not None]
        if not wanted:
            raise ModelError(
                "the input has no shape, and the next layer does not give it",
                where=node.where("shape"),
                remedy="export with an input shape, or with input_shape in the first convolution",
            )
        notes.add("missing input shape", f"{node.name} read as {wanted[0]}")
        return wanted[0]
    candidates = [declared[i:] for i in range(len(declared))]
    if len(declared) == 1:
        candidates.append((1,))  # a single channel whose shape counts the time steps
    chosen = fitting(readers, candidates, transpose) or declared
    if chosen != declared:
        notes.add("leading axes of the input ignored", f"{node.name}: {declared} read as {chosen}")
    return chosen


def check_output(node: RawNode, shape: Shape, notes: Notes) -> None:
    """A declared output shape may only differ by leading batch or time axes."""
    declared = node.shape("shape")
    if declared is None or declared == shape:
        return
    if declared[-len(shape) :] != shape:
        raise ModelError(
            "the declared output shape is not what the network computes",
            where=node.where("shape"),
            found=f"declared {declared}, computed {shape}",
            remedy="check the edges into the output",
        )
    notes.add("leading axes of the output ignored", f"{node.name}: {declared} read as {shape}")


def flat_shape(
    node: RawNode, shape: Shape, readers: Sequence[RawNode], transpose: bool, notes: Notes
) -> Shape:
    """Flatten with the stored axes, or one lower when they counted a batch axis.

    Raises:
        ModelError: neither reading names existing axes.
    """
    literal, shifted = flattened(node, shape), flattened(node, shape, 1)
    candidates = [s for s in (literal, shifted) if s is not None]
    if not candidates:
        raise ModelError(
            "no such axes to flatten",
            where=node.where("start_dim"),
            found=f"start {node.integers('start_dim')[0]}, end {node.integers('end_dim')[0]}",
            allowed=f"axes of {shape}",
        )
    stored = node.shape("input_type")
    if stored is not None and len(stored) == len(shape) + 1:
        candidates.reverse()  # the exporter counted a batch axis
    chosen = fitting(readers, candidates, transpose) or candidates[0]
    if chosen != literal:
        notes.add("Flatten axes shifted", f"{node.name}: start_dim counted a batch axis")
    return chosen
