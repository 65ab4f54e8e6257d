"""Arithmetic on traced values: every operation becomes at most a few nodes.

Two operations with equal operands and parameters become one node, which is what folds a model's
own loop over time steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snnc.compiler.frontends.torch.layout import (
    AxisError,
    Dim,
    Value,
    broadcast,
    describe,
    element,
    elements,
    expand,
    has,
)
from snnc.compiler.frontends.torch.nodes import Nodes, digest
from snnc.ir.arrays import AnyArray, RealArray, Shape, reals, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.nodes import Add, Bias, Index, Mul, Reduce, Scale


@dataclass
class Values(Nodes):
    """Nodes written by operations on traced values.

    Attributes:
        steps: time steps per sample, once known.
    """

    steps: int | None = None

    def tensor(self, value: Value, shape: Shape | None = None) -> str:
        """Name of a node whose output is exactly this value's elements, of this shape."""
        self.settled(value)
        shape = value.element_shape if shape is None else shape
        if value.index is None and self.shapes[value.node] == shape:
            return value.node
        index = None if value.index is None else value.index.reshape(-1)
        if index is not None and np.array_equal(index, np.arange(size_of(self.shapes[value.node]))):
            index = None
        if index is None and self.shapes[value.node] == shape:
            return value.node
        return self.add(
            Index, (value.node,), shape, digest(index), suffix=".index", shape=shape, index=index
        )

    def settled(self, value: Value) -> None:
        """Raise where a clamp was not followed by a rounding."""
        if value.clip is not None:
            raise UnsupportedError(
                "a clamp without the rounding that makes it an integer firing rule",
                where=self.where(),
                found=f"clamp to {value.clip}",
                remedy="use a registered spiking neuron (docs/torch.md)",
            )

    def result(self, like: Value, node: str, dims: tuple[Dim, ...] | None = None) -> Value:
        """The value of a new node in the time frame of one of its operands."""
        return Value(
            node,
            like.dims if dims is None else dims,
            steps=like.steps,
            pooled=like.pooled,
            slots=like.slots,
        )

    def unpooled(self, value: Value) -> Value:
        """The value as it exists in every step: joined ones become a sum over the whole sample.

        Raises:
            UnsupportedError: it exists in some steps only, or spread over slots.
        """
        if value.slots != 1:
            raise UnsupportedError(
                "a neuron or product inside the binary slots of a count",
                where=self.where(),
                remedy="put TemporalBinSum before it",
            )
        if value.pooled == "last" or (value.steps is not None and len(value.steps) > 1):
            raise UnsupportedError(
                "an operation on values joined over time that is not linear",
                where=self.where(),
                remedy="apply it before the sum or mean over time, or after the network",
            )
        if value.pooled is None:
            return value
        summed = self.over_time(replace(value, pooled=None))
        return summed if value.pooled == "sum" else self.scale(summed, 1 / self.known_steps())

    def known_steps(self) -> int:
        """Steps per sample.

        Raises:
            UnsupportedError: neither the model nor the caller says.
        """
        if self.steps is None:
            raise UnsupportedError(
                "the number of time steps is not known",
                where=self.where(),
                remedy="pass steps=T to from_torch",
            )
        return self.steps

    def over_time(self, value: Value) -> Value:
        """The sum over all steps of the sample, the same in every step."""
        node, steps = self.tensor(value), self.known_steps()
        name = self.add(
            Reduce, (node,), self.shapes[node], ("over time", steps), suffix=".over_time",
            op="sum", axes=(), steps=steps,
        )  # fmt: skip
        return self.result(value, name)

    def constant(self, value: Value, array: AnyArray) -> RealArray:
        """A constant operand aligned to the value's element factors.

        Raises:
            UnsupportedError: it differs between time steps or samples.
        """
        array = np.asarray(array, np.float64)
        if array.ndim > len(value.dims):
            raise UnsupportedError(
                "a constant operand has more axes than the tensor",
                where=self.where(),
                found=f"{array.shape} and {value.shape}",
            )
        array = array.reshape((1,) * (len(value.dims) - array.ndim) + array.shape)
        shape: list[int] = []
        drop: list[int] = []
        for dim, extent in zip(value.dims, array.shape, strict=True):
            for tag, own in dim:
                if tag != "e":
                    drop.append(len(shape))
                shape.append(1 if extent == 1 else own)
        array = array.reshape(shape)
        for axis in reversed(drop):
            first = np.take(array, [0], axis)
            if (array != first).any():
                raise UnsupportedError(
                    "a parameter that differs between time steps or samples",
                    where=self.where(),
                    found=f"{array.shape} on {describe(value.dims)}",
                    remedy="unroll the network, or use one parameter for all steps",
                )
            array = np.squeeze(first, axis)
        result: RealArray = reals(self.where(), array)
        return result

    def scale(self, value: Value, factor: AnyArray | float) -> Value:
        """``factor * value``."""
        wide = self._widened(value, np.asarray(factor))
        array = self.constant(wide, np.asarray(factor))
        if (array == 1).all():
            return wide
        node = self.tensor(wide)
        name = self.add(
            Scale, (node,), self.shapes[node], digest(array), suffix=".scale", scale=array
        )
        return self.result(wide, name)

    def bias(self, value: Value, offset: AnyArray | float) -> Value:
        """``value + offset``; behind a sum over T steps the offset is spread over them."""
        wide = self._widened(value, np.asarray(offset))
        array = self.constant(wide, np.asarray(offset))
        if not array.any():
            return wide
        if wide.steps is not None and len(wide.steps) > 1:
            raise UnsupportedError(
                "a constant added to a sum over some time steps",
                where=self.where(),
                remedy="add it in every step, or after the network",
            )
        if wide.pooled == "sum":
            array = array / self.known_steps()
        array = array * wide.slots
        node = self.tensor(wide)
        name = self.add(Bias, (node,), self.shapes[node], digest(array), suffix=".bias", bias=array)
        return self.result(wide, name)

    def _widened(self, value: Value, array: AnyArray) -> Value:
        dims = broadcast(value.dims, _constant_dims(value, array), self.where())
        return value if dims == value.dims else expand(value, dims, self.where())

    def sum(self, values: list[Value]) -> Value:
        """Elementwise sum of values that broadcast."""
        first = values[0]
        if self._same_in_other_steps(values):
            together = tuple(sorted(s for v in values for s in v.steps or ()))
            return replace(first, steps=together)
        aligned, frame = self.aligned(values)
        names = tuple(self.tensor(value) for value in aligned)
        name = self.add(Add, names, aligned[0].element_shape, suffix=".add")
        return self.result(frame, name, aligned[0].dims)

    def product(self, a: Value, b: Value) -> Value:
        """Elementwise product of two values that broadcast."""
        (left, right), frame = self.aligned([self.unpooled(a), self.unpooled(b)])
        names = (self.tensor(left), self.tensor(right))
        name = self.add(Mul, names, left.element_shape, suffix=".mul")
        return self.result(frame, name, left.dims)

    def aligned(self, values: list[Value]) -> tuple[list[Value], Value]:
        """Operands broadcast to common dimensions, and the one whose time frame counts."""
        dims = values[0].dims
        for value in values[1:]:
            dims = broadcast(dims, value.dims, self.where())
        return [expand(v, dims, self.where()) for v in values], self.common_frame(values)

    def common_frame(self, values: list[Value]) -> Value:
        """The operand whose time frame the result has.

        Raises:
            AxisError: values of different time steps meet.
        """
        frames = {(v.steps, v.pooled, v.slots): v for v in values}
        mixed = len(frames) > 1
        if mixed:
            frames.pop((None, None, 1), None)
        frame = next(iter(frames.values()))
        summed = frame.pooled == "sum" or frame.slots > 1
        if len(frames) > 1 or (mixed and summed):
            raise AxisError(
                "values of different time steps meet in one operation",
                where=self.where(),
                found=", ".join(_frame(v) for v in values),
                remedy="use a recurrent container or a delay layer that snnc knows",
            )
        return frame

    def _same_in_other_steps(self, values: list[Value]) -> bool:
        first = values[0]
        steps = [s for v in values for s in v.steps or ()]
        return (
            all(v.steps and v.node == first.node and v.dims == first.dims for v in values)
            and all(_same(v.index, first.index) for v in values)
            and len(set(steps)) == len(steps)
        )


def _same(a: AnyArray | None, b: AnyArray | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _constant_dims(value: Value, array: AnyArray) -> tuple[Dim, ...]:
    """Dimensions a constant has beside a value: the value's where the extents agree."""
    own = (element(1),) * (array.ndim - len(value.dims)) + value.dims
    own = own[len(own) - array.ndim :] if array.ndim else ()
    if any(
        extent not in (1, n) and has(dim, "t", "n")
        for dim, extent, n in zip(own, array.shape, Value("", own).shape, strict=True)
    ):
        raise AxisError("a constant does not fit the tensor", found=array.shape)
    return tuple(
        dim if extent != 1 and extent == Value("", (dim,)).shape[0] else elements((extent,))[0]
        for dim, extent in zip(own, array.shape, strict=True)
    )


def _frame(value: Value) -> str:
    if value.pooled is not None:
        return f"{value.pooled} over time"
    return "every step" if value.steps is None else f"step {value.steps}"
