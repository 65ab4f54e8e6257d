"""What a tensor of a quantized graph is, in terms of integers of the network.

The runtime's arithmetic is 32-bit floating point on numbers that stand for integers.  A ``Tensor``
keeps the integers exact and remembers the floating-point steps since the last sum; they are
evaluated, for every integer that can occur, when thresholds are sought (``ladder``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray, Shape

Float = Any
"""A float32 (or float64) array whose last axes are a sample's."""
ONE = np.ones((), np.float32)
NOTHING = np.zeros((), np.int64)


@dataclass(frozen=True, eq=False)
class Step:
    """One elementwise operation; ``uniform`` when it is the same for every element.

    ``homogeneous``: f(a x) = a f(x) for every a > 0, so that a factor may be applied before.
    """

    apply: Callable[[Float], Float]
    uniform: bool = True
    homogeneous: bool = False


def run(steps: tuple[Step, ...], x: Float) -> Float:
    """Apply steps one after the other."""
    for step in steps:
        x = step.apply(x)
    return x


def times(factor: Float) -> Step:
    """Multiply."""
    return Step(lambda x: x * factor.astype(x.dtype), factor.size == 1)


def over(divisor: Float) -> Step:
    """Divide."""
    return Step(lambda x: x / divisor.astype(x.dtype), divisor.size == 1)


def plus(term: AnyArray) -> Step:
    """Add."""
    return Step(lambda x: x + term.astype(x.dtype), term.size == 1)


@dataclass(frozen=True, eq=False)
class Level:
    """The tensor was quantized: ``steps`` lead from the scaled sum to integers q in [low, high].

    The integer c = q - ``zero`` stands for ``factor c + offset`` steps of the tensor's grid.
    ``name`` is that of the quantizer, and of the population it becomes.
    """

    name: str
    steps: tuple[Step, ...]
    low: int
    high: int
    zero: int
    factor: int = 1
    offset: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    """Data: ``run(after, (factor u + offset) * scale)`` for the integers u of ``source``.

    Attributes:
        source: node of the integer network.
        shape: without batch.
        scale: float32, broadcasts to ``shape``.
        factor, offset: integers; the offset broadcasts to ``shape``.
        after: steps behind the factor.
        level: set where the value is a quantized integer, or the real number it stands for.
        form: "int" where the value is the quantized integer itself, "real" otherwise.
        grid: with ``level`` and form "real": what one integer stands for.
        raw: the network's input, whose integers are not chosen yet.
    """

    source: str
    shape: Shape
    scale: Float = field(default_factory=lambda: ONE)
    factor: int = 1
    offset: IntArray = field(default_factory=lambda: NOTHING)
    after: tuple[Step, ...] = ()
    level: Level | None = None
    form: Literal["int", "real"] = "real"
    grid: Float = field(default_factory=lambda: ONE)
    raw: bool = False

    def then(self, step: Step) -> Tensor:
        """One more elementwise operation on real values."""
        return replace(self, after=(*self.after, step), level=None, form="real", grid=ONE)

    @property
    def homogeneous(self) -> bool:
        """A factor may be applied before all steps."""
        return all(step.homogeneous for step in self.after)

    @property
    def uniform(self) -> bool:
        """Every element is treated alike, so that elements may be moved."""
        same = self.scale.size == 1 and self.offset.size == 1
        return same and all(step.uniform for step in self.after)

    @property
    def plain(self) -> bool:
        """The value is ``scale * (factor u + offset)``, one scale for all: a sum can read it."""
        return not self.after and self.scale.size == 1


@dataclass(frozen=True, eq=False)
class Pair:
    """A sum of two tensors on different grids, ``a.scale a + b.scale b``, to be quantized next."""

    a: Tensor
    b: Tensor
    after: tuple[Step, ...] = ()

    @property
    def shape(self) -> Shape:
        """Of both operands."""
        return self.a.shape

    def then(self, step: Step) -> Pair:
        """One more elementwise operation."""
        return replace(self, after=(*self.after, step))


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers known now: ``values``, and where quantized ``scale * whole`` with integers.

    ``raw`` keeps what is stored (integers with their zero point) for operators that name it.
    """

    values: AnyArray
    whole: IntArray | None = None
    scale: Float = field(default_factory=lambda: ONE)

    def moved(self, move: Callable[[AnyArray], AnyArray]) -> Constant:
        """The same numbers in another arrangement."""
        if self.whole is None:
            return Constant(move(self.values))
        scale = self.scale
        if scale.size > 1:
            scale = move(np.broadcast_to(scale, self.whole.shape))
        return Constant(move(self.values), move(self.whole), scale)
