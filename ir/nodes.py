"""Operators that the real and the integer network have in common.

All shapes exclude batch and time.  In an integer network every operator below is exact integer
arithmetic without rounding; only ``Rescale`` and the leak of a neuron round.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from snnc.ir.arrays import IntArray, RealArray, Shape, integers, reals, size_of
from snnc.ir.errors import ModelError
from snnc.ir.types import ValueType
from snnc.ir.weights import Weights, window_shape

Readout = Literal["sum", "max", "last"]
Rounding = Literal["floor", "toward_zero", "half_even"]


@dataclass(frozen=True)
class Input:
    """Where data enters; ``type`` is what one element may hold in one time step."""

    name: str
    shape: Shape
    type: ValueType
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """What the user sees.  The prediction is argmax over elements of ``readout`` over time."""

    name: str
    inputs: tuple[str, ...]
    readout: Readout = "sum"


@dataclass(frozen=True)
class Linear:
    """``y[t] = W x[t]``; the bias of a layer lives in the neuron it feeds."""

    name: str
    inputs: tuple[str, ...]
    weights: Weights


@dataclass(frozen=True)
class Add:
    """Elementwise sum of two or more tensors of one shape (integer network: of one grid)."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Mul:
    """Elementwise product of two tensors; at least one is an event tensor."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class MatMul:
    """Batched matrix product over the last two axes, optionally with transposed operands."""

    name: str
    inputs: tuple[str, ...]
    transpose_a: bool = False
    transpose_b: bool = False


@dataclass(frozen=True)
class Reduce:
    """Sum or maximum over axes, keeping them with extent 1, and over time when ``steps`` is set.

    Over time: ``y[t]`` for every t is the sum, or maximum, over all ``steps`` of the sample, later
    ones included (joint space-time attention).  The sample must have exactly so many steps.
    """

    name: str
    inputs: tuple[str, ...]
    op: Literal["sum", "max"]
    axes: Shape
    steps: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ModelError("a sample has at least one step", where=self.name, found=self.steps)


@dataclass(frozen=True)
class Pool:
    """Sliding-window sum or maximum per channel, input (channels, *spatial).

    Sum: padded positions contribute 0.  Max: padded positions never win.  An average pool is a
    sum pool whose 1/k is folded into the next grid.
    """

    name: str
    inputs: tuple[str, ...]
    op: Literal["sum", "max"]
    kernel: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the result for an input of ``shape``."""
        if len(shape) != len(self.kernel) + 1:
            raise ModelError(
                "a pool needs (channels, *spatial)", where=self.name, found=f"input {shape}"
            )
        if any(max(ab) >= k for ab, k in zip(self.padding, self.kernel, strict=True)):
            raise ModelError("pool padding must be smaller than the kernel", where=self.name)
        once = (1,) * len(self.kernel)
        extent = window_shape(self.name, shape[1:], self.kernel, self.stride, self.padding, once)
        return (shape[0], *extent)


@dataclass(frozen=True, eq=False)
class Index:
    """``y.flat[j] = concat(inputs).flat[index.flat[j]]``, or 0 where the index is -1.

    One primitive for reshape (``index`` is None), transpose, slice, concat, nearest-neighbour
    upsampling and zero padding.
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    index: IntArray | None = None

    def __post_init__(self) -> None:
        if self.index is not None:
            object.__setattr__(self, "index", integers(self.name, self.index).reshape(-1))

    def check(self, elements: int) -> None:
        """Raise unless the indices fit inputs with ``elements`` elements in total."""
        if self.index is None:
            if elements != size_of(self.shape):
                raise ModelError(
                    "reshape must keep the number of elements",
                    where=self.name,
                    found=elements,
                    allowed=f"{size_of(self.shape)} = {self.shape}",
                )
        elif self.index.size != size_of(self.shape) or (
            self.index.size and not -1 <= self.index.min() <= self.index.max() < elements
        ):
            raise ModelError(
                "the index does not fit its operands",
                where=self.name,
                found=f"{self.index.size} entries up to {self.index.max(initial=-1)}",
                allowed=f"{size_of(self.shape)} entries below {elements}",
            )


@dataclass(frozen=True)
class Delay:
    """``y[t] = x[t - steps]``, zero before; the only operator that may close a loop."""

    name: str
    inputs: tuple[str, ...]
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ModelError("a delay is at least one step", where=self.name, found=self.steps)


@dataclass(frozen=True)
class Barrier:
    """``y[0] = x[steps - 1]``, and ``y[t] = 0`` after: the last step's value reaches the first.

    What reads a barrier runs when what feeds it has seen the whole sample, of ``steps`` steps.
    """

    name: str
    inputs: tuple[str, ...]
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ModelError("a sample has at least one step", where=self.name, found=self.steps)


@dataclass(frozen=True, eq=False)
class Rescale:
    """``y = saturate_b(round((multiplier x) / 2^shift))``, the meeting of two integer grids."""

    name: str
    inputs: tuple[str, ...]
    multiplier: IntArray
    shift: int
    rounding: Rounding
    bits: int
    grid: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "multiplier", integers(self.name, self.multiplier))
        if not 0 <= self.shift <= 62 or not 2 <= self.bits <= 63:
            raise ModelError(
                "a rescale shifts by 0..62 and saturates to 2..63 bits",
                where=self.name,
                found=f"shift {self.shift}, {self.bits} bits",
            )


@dataclass(frozen=True, eq=False)
class Lut:
    """``y = table[clip(x - first, 0, len - 1)]``: any function of one small integer."""

    name: str
    inputs: tuple[str, ...]
    first: int
    table: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", integers(self.name, self.table))
        if self.table.ndim != 1 or not 1 <= self.table.size <= 4096:
            raise ModelError(
                "a lookup table has 1 to 4096 entries", where=self.name, found=self.table.shape
            )


@dataclass(frozen=True, eq=False)
class Scale:
    """``y = scale * x``; real network only, folded into weights and thresholds later."""

    name: str
    inputs: tuple[str, ...]
    scale: RealArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", reals(self.name, self.scale))


@dataclass(frozen=True, eq=False)
class Bias:
    """``y[t] = x[t] + bias``; real network only, folded into the neuron that follows."""

    name: str
    inputs: tuple[str, ...]
    bias: RealArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "bias", reals(self.name, self.bias))


def fixed_steps(nodes: Iterable[object]) -> int | None:
    """Steps that every sample must have, as sums over time and barriers say; None: any number.

    Raises:
        ModelError: they say different numbers.
    """
    fixed = [n for n in nodes if isinstance(n, Barrier | Reduce) and n.steps]
    for node in fixed:
        if node.steps != fixed[0].steps:
            raise ModelError(
                "sums over time of different lengths",
                where=f"{fixed[0].name}, {node.name}",
                found=f"{fixed[0].steps} and {node.steps} steps",
                allowed="the steps of a sample, for all of them",
            )
    return fixed[0].steps if fixed else None


def operand_count(node: object) -> tuple[int, int]:
    """Smallest and largest number of operands the operator takes."""
    if isinstance(node, Input):
        return (0, 0)
    if isinstance(node, Add | Index):
        return (1, np.iinfo(np.int32).max)
    if isinstance(node, Mul | MatMul):
        return (2, 2)
    return (1, 1)


def matmul_shape(node: MatMul, a: Shape, b: Shape) -> Shape:
    """Shape of a batched matrix product."""
    if len(a) < 2 or len(b) != len(a) or a[:-2] != b[:-2]:
        raise ModelError("operands do not batch", where=node.name, found=f"{a} and {b}")
    rows, inner = a[-2:][::-1] if node.transpose_a else a[-2:]
    inner_b, columns = b[-2:][::-1] if node.transpose_b else b[-2:]
    if inner != inner_b:
        raise ModelError("inner extents differ", where=node.name, found=f"{a} and {b}")
    return (*a[:-2], rows, columns)
