"""A ``Network`` as the ONNX graph of one time step, operators of the domain ``snnc``, version 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.model_file import package
from snnc.compiler.frontends.onnx.stateful.operators import (
    DOMAIN,
    VERSION,
    operator_of,
    states_of,
)
from snnc.ir.arrays import AnyArray, Shape, size_of
from snnc.ir.atomic import write_bytes
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import (
    Add,
    Bias,
    Delay,
    Index,
    Input,
    Linear,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Scale,
)
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense, Sparse

OPSET = 17
IR_VERSION = 8
MAX_DENSE = 1 << 26
"""Entries of a sparse matrix that is written densely: ONNX has no sparse product."""


def export(network: Network, path: Path) -> None:
    """Write a network as a ``.onnx`` file that ``lower`` reads back to the same function.

    Raises:
        UnsupportedError: a sparse matrix too large to write densely; a sum over all time steps.
        OutputError: the path cannot be written.
        MissingPackageError: the package ``onnx`` is not installed.
    """
    write_bytes(Path(path), model_proto(network).SerializeToString(deterministic=True))


def model_proto(network: Network) -> Any:
    """The checked ``ModelProto`` of a network."""
    onnx = package()
    model = _Writer(onnx, network).model()
    onnx.checker.check_model(model)
    return model


class _Writer:
    def __init__(self, onnx: Any, network: Network) -> None:
        self.onnx, self.network = onnx, network
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.tensor: dict[str, str] = {}
        """The ONNX tensor that a node of the network makes, by the node's name."""
        single = all(map(_is_single, _constants(network)))
        self.kind = onnx.TensorProto.FLOAT if single else onnx.TensorProto.DOUBLE
        self.dtype = np.float32 if single else np.float64

    def model(self) -> Any:
        helper = self.onnx.helper
        for node in self.network.order:
            if isinstance(node, Delay):
                self._delay_begins(node)
        for node in self.network.order:
            if not isinstance(node, Delay):
                self._write(node)
        for delay in self.network.of_type(Delay):
            self._delay_ends(delay)
        graph = helper.make_graph(
            self.nodes, self.network.name or "network", self.inputs, self.outputs, self.weights
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="snnc")
        model.ir_version = IR_VERSION
        return model

    # -- parts of a graph ------------------------------------------------------------------------

    def _value(self, name: str, shape: Shape) -> Any:
        return self.onnx.helper.make_tensor_value_info(name, self.kind, [1, *shape])

    def _op(self, op: str, name: str, inputs: list[str], outputs: list[str] | None = None,
            domain: str = "", **attributes: Any) -> str:  # fmt: skip
        made = [name] if outputs is None else outputs
        node = self.onnx.helper.make_node(op, inputs, made, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return made[0]

    def _constant(self, name: str, values: Any, dtype: Any = None) -> str:
        array = np.ascontiguousarray(values, dtype or self.dtype)
        self.weights.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def _shaped(self, name: str, source: str, shape: Shape) -> str:
        wanted = self._constant(f"{name}.shape", [1, *shape], np.int64)
        return self._op("Reshape", name, [source, wanted])

    # -- one node --------------------------------------------------------------------------------

    def _write(self, node: RealNode) -> None:
        sources = [self.tensor[source] for source in node.inputs]
        if isinstance(node, Input):
            self.tensor[node.name] = self._input(node)
        elif isinstance(node, Output):
            self.outputs.append(self._value(node.name, self.network.shapes[node.name]))
            self._op("Output", f"{node.name}.readout", sources, [node.name], DOMAIN,
                     readout=node.readout)  # fmt: skip
        elif isinstance(node, RealNeuron):
            self.tensor[node.name] = self._neuron(node, sources[0])
        else:
            self.tensor[node.name] = self._operator(node, sources)

    def _input(self, node: Input) -> str:
        self.inputs.append(self._value(node.name, node.shape))
        if node.type == BIN:
            return node.name
        grid = self.onnx.numpy_helper.from_array(np.asarray(node.type.grid), "grid")
        return self._op("Input", f"{node.name}.typed", [node.name], None, DOMAIN,
                        type=str(node.type), grid=grid)  # fmt: skip

    def _neuron(self, node: RealNeuron, source: str) -> str:
        op, fields = operator_of(node)
        ends = [f"{node.name}.{state}" for state in states_of(node)]
        self.inputs += [self._value(f"{end}_in", node.shape) for end in ends]
        self.outputs += [self._value(f"{end}_out", node.shape) for end in ends]
        attributes = {label: self._attribute(value) for label, value in fields.items()}
        results = [node.name, *(f"{end}_out" for end in ends)]
        return self._op(op, node.name, [source, *(f"{end}_in" for end in ends)], results, DOMAIN,
                        **attributes)  # fmt: skip

    def _attribute(self, value: AnyArray | int | str) -> Any:
        if not isinstance(value, np.ndarray):
            return int(value) if isinstance(value, int) else value
        if value.shape == () and _is_single(value):
            return float(value)
        return self.onnx.numpy_helper.from_array(np.asarray(value, np.float64), "value")

    def _delay_begins(self, node: Delay) -> None:
        """``steps`` pairs in a row; the oldest value is what the network reads now."""
        shape = self.network.shapes[node.name]
        for step in range(node.steps):
            self.inputs.append(self._value(f"{node.name}.{step}_in", shape))
            self.outputs.append(self._value(f"{node.name}.{step}_out", shape))
        self.tensor[node.name] = f"{node.name}.0_in"

    def _delay_ends(self, node: Delay) -> None:
        later = [f"{node.name}.{step}_in" for step in range(1, node.steps)]
        for step, source in enumerate([*later, self.tensor[node.inputs[0]]]):
            self._op("Identity", f"{node.name}.{step}", [source], [f"{node.name}.{step}_out"])

    def _operator(self, node: RealNode, sources: list[str]) -> str:
        name, shapes = node.name, self.network.shapes
        if isinstance(node, Linear):
            return self._linear(node, sources[0])
        if isinstance(node, Bias):
            return self._op("Add", name, [*sources, self._constant(f"{name}.value", node.bias)])
        if isinstance(node, Scale):
            return self._op("Mul", name, [*sources, self._constant(f"{name}.value", node.scale)])
        if isinstance(node, Add):
            return self._op("Sum", name, sources)
        if isinstance(node, Mul):
            return self._op("Mul", name, sources)
        if isinstance(node, MatMul):
            return self._matmul(node, sources)
        if isinstance(node, Reduce):
            if node.steps:
                raise UnsupportedError(
                    "a file of one time step cannot sum over all of them",
                    where=node.name,
                    found=f"a sum over {node.steps} steps",
                    remedy="export the parts before and behind it",
                )
            axes = [axis + 1 for axis in node.axes]
            if node.op == "max":  # axes are an attribute until opset 18
                return self._op("ReduceMax", name, sources, axes=axes)
            listed = self._constant(f"{name}.axes", axes, np.int64)
            return self._op("ReduceSum", name, [*sources, listed])
        if isinstance(node, Pool):
            return self._pool(node, sources[0], shapes[node.inputs[0]])
        assert isinstance(node, Index)
        return self._index(node, sources)

    def _linear(self, node: Linear, source: str) -> str:
        weights, name = node.weights, node.name
        if isinstance(weights, Conv):
            kernel = self._constant(f"{name}.weight", weights.values)
            return self._op("Conv", name, [source, kernel],
                            kernel_shape=weights.kernel, strides=weights.stride,
                            pads=_pads(weights.padding), dilations=weights.dilation,
                            group=weights.groups)  # fmt: skip
        if isinstance(weights, Dense):
            matrix = self._constant(f"{name}.weight", weights.values)
            return self._op("Gemm", name, [source, matrix], transB=1)
        rows = size_of(weights.shape)
        if rows * weights.inputs > MAX_DENSE:
            raise UnsupportedError(
                "a sparse matrix too large to write densely",
                where=name,
                found=f"{rows} x {weights.inputs}",
                allowed=f"{MAX_DENSE:,} entries",
                remedy="ONNX has no sparse product; export to NIR",
            )
        flat = self._shaped(f"{name}.flat", source, (weights.inputs,))
        matrix = self._constant(f"{name}.weight", _densified(weights))
        product = self._op("Gemm", f"{name}.product", [flat, matrix], transB=1)
        return self._shaped(name, product, weights.shape)

    def _matmul(self, node: MatMul, sources: list[str]) -> str:
        operands = []
        for label, source, swap, end in zip(
            "ab", sources, (node.transpose_a, node.transpose_b), node.inputs, strict=True
        ):
            if swap:
                axes = list(range(len(self.network.shapes[end]) + 1))
                axes[-2:] = axes[:-3:-1]
                source = self._op("Transpose", f"{node.name}.{label}", [source], perm=axes)
            operands.append(source)
        return self._op("MatMul", node.name, operands)

    def _pool(self, node: Pool, source: str, shape: Shape) -> str:
        window: dict[str, Any] = {
            "kernel_shape": node.kernel, "strides": node.stride, "pads": _pads(node.padding),
        }  # fmt: skip
        if node.op == "max":
            return self._op("MaxPool", node.name, [source], **window)
        # A sum is a convolution with ones, channel by channel; ONNX's own pools divide.
        ones = self._constant(f"{node.name}.ones", np.ones((shape[0], 1, *node.kernel)))
        return self._op("Conv", node.name, [source, ones], group=shape[0], **window)

    def _index(self, node: Index, sources: list[str]) -> str:
        name, shapes = node.name, self.network.shapes
        sizes = [size_of(shapes[source]) for source in node.inputs]
        if node.index is None and len(sources) == 1:
            return self._shaped(name, sources[0], node.shape)
        flat = [
            self._shaped(f"{name}.flat{k}", source, (size,))
            for k, (source, size) in enumerate(zip(sources, sizes, strict=True))
        ]
        joined = flat[0] if len(flat) == 1 else self._op("Concat", f"{name}.all", flat, axis=1)
        if node.index is not None:
            index = np.where(node.index < 0, sum(sizes), node.index)
            if (node.index < 0).any():
                pads = self._constant(f"{name}.pads", [0, 0, 0, 1], np.int64)
                joined = self._op("Pad", f"{name}.zero", [joined, pads])
            picked = self._constant(f"{name}.index", index, np.int64)
            joined = self._op("Gather", f"{name}.picked", [joined, picked], axis=1)
        return self._shaped(name, joined, node.shape)


def _constants(network: Network) -> list[AnyArray]:
    """Every array that becomes an initialiser of real numbers."""
    found: list[AnyArray] = [n.weights.values for n in network.of_type(Linear)]
    found += [n.bias for n in network.of_type(Bias)]
    return found + [n.scale for n in network.of_type(Scale)]


def _is_single(values: AnyArray) -> bool:
    """Whether 32-bit floats hold the values exactly."""
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float32).astype(np.float64) == values).all())


def _pads(padding: tuple[tuple[int, int], ...]) -> list[int]:
    return [before for before, _ in padding] + [after for _, after in padding]


def _densified(weights: Sparse) -> AnyArray:
    dense = np.zeros((size_of(weights.shape), weights.inputs))
    rows = np.repeat(np.arange(dense.shape[0]), np.diff(weights.row_ptr))
    np.add.at(dense, (rows, weights.column), weights.values)
    return dense
