"""Reads ``.pt2`` files of ``torch.export`` as data: a graph in JSON and raw tensors, no pickle.

``torch.export.load`` unpickles what a file asks it to; this reader never does.  Pickled weights and
custom objects are refused, sample inputs are not looked at.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from snnc.ir.arrays import Shape, size_of
from snnc.ir.errors import ModelFileError
from snnc.ir.safezip import members, open_zip, read_member

LARGEST = 4 << 30
LARGEST_JSON = 256 << 20
SCHEMA = 8
DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
"""Numbers of scalar types in the schema of exported programs."""


@dataclass(frozen=True)
class Operation:
    """One call: ``torch.ops`` target, arguments in schema order, names of its results.

    Attributes:
        names: of the arguments in the operator's schema.
        module: path of the module that made the call.
    """

    target: str
    names: tuple[str, ...]
    arguments: tuple[Any, ...]
    results: tuple[str, ...]
    module: str


@dataclass(frozen=True)
class Program:
    """An exported program.

    Attributes:
        constants: parameters, buffers and constants by the name the graph uses.
        inputs: shapes of the user's inputs by name, in order.
        outputs: names of the user's outputs, in order.
    """

    file: str
    constants: Mapping[str, Any]
    inputs: Mapping[str, Shape]
    operations: Sequence[Operation]
    outputs: Sequence[str]


@dataclass(frozen=True)
class Ref:
    """An argument that names a tensor."""

    name: str


def read_archive(path: Path) -> Program:
    """Parse and check a ``.pt2`` file.

    Raises:
        ModelFileError: not an exported program, damaged, of another schema, with pickled or
            missing parts, dynamic shapes, or too large.
    """
    with open_zip(path, "an exported PyTorch program (.pt2)", ModelFileError) as archive:
        found = members(archive, LARGEST, ModelFileError)
        return _Reader(path, archive, found).program()


class _Reader:
    def __init__(
        self, path: Path, archive: zipfile.ZipFile, found: Mapping[str, zipfile.ZipInfo]
    ) -> None:
        self.file, self.archive = path.name, archive
        self.parts = {name.partition("/")[2]: info for name, info in found.items()}

    def program(self) -> Program:
        byteorder = self.parts.get("byteorder")
        if byteorder is not None and self._bytes(byteorder).strip() != b"little":
            raise self._error("tensors in another byte order")
        model = self._json("models/model.json")
        try:
            return self._program(model)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError, RuntimeError) as error:
            raise self._error(
                "the program does not follow the schema", f"{type(error).__name__}: {error}"
            ) from error

    def _program(self, model: Any) -> Program:
        major = int(model["schema_version"]["major"])
        if major != SCHEMA:
            raise self._error("another schema of exported programs", major, SCHEMA)
        graph_module = model["graph_module"]
        graph, signature = graph_module["graph"], graph_module["signature"]
        stored = {**self._tensors("weights"), **self._tensors("constants")}
        constants: dict[str, Any] = {}
        inputs: dict[str, Shape] = {}
        for spec in signature["input_specs"]:
            ((kind, entry),) = spec.items()
            if kind == "user_input":
                name = str(entry["arg"]["as_tensor"]["name"])
                inputs[name] = self._shape(graph["tensor_values"][name]["sizes"], name)
            elif kind in ("parameter", "buffer", "tensor_constant"):
                key = str(entry[f"{kind}_name"])
                if key not in stored:
                    raise self._error("a parameter is missing", key)
                constants[str(entry["arg"]["name"])] = stored[key]
            else:
                raise self._error("an input that is no tensor", kind)
        outputs = []
        for spec in signature["output_specs"]:
            ((kind, entry),) = spec.items()
            if kind != "user_output":
                raise self._error(
                    "the program changes state", kind, remedy="export with snnc.export_torch"
                )
            outputs.append(str(entry["arg"]["as_tensor"]["name"]))
        operations = [self._operation(node) for node in graph["nodes"]]
        return Program(self.file, constants, inputs, operations, outputs)

    def _operation(self, node: Any) -> Operation:
        stack = str(node.get("metadata", {}).get("nn_module_stack", ""))
        innermost = stack.split(";")[-1].split(",")
        module = innermost[1] if len(innermost) > 1 else ""
        results = [
            str(t["name"])
            for output in node["outputs"]
            for t in (output.get("as_tensors") or [output.get("as_tensor")])
            if t is not None
        ]
        return Operation(
            str(node["target"]),
            tuple(str(argument["name"]) for argument in node["inputs"]),
            tuple(self._argument(argument["arg"]) for argument in node["inputs"]),
            tuple(results),
            module,
        )

    def _argument(self, argument: Any) -> Any:
        ((kind, value),) = argument.items()
        if kind == "as_tensor":
            return Ref(str(value["name"]))
        if kind == "as_tensors":
            return [Ref(str(entry["name"])) for entry in value]
        if kind == "as_optional_tensors":
            return [self._argument(entry) for entry in value]
        if kind == "as_none":
            return None
        if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
            return self._static(value)
        if kind == "as_sym_ints":
            return [self._static(entry) for entry in value]
        if kind == "as_scalar_type":
            return DTYPES.get(int(value), torch.complex64)
        if kind in ("as_memory_format", "as_layout", "as_device"):
            return None
        plain = ("as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string",
                 "as_strings")  # fmt: skip
        if kind not in plain:
            raise self._error("an argument of a kind that snnc does not know", kind)
        return float(value) if kind == "as_float" else value

    def _static(self, value: Any) -> Any:
        if "as_int" in value:
            return int(value["as_int"])
        if "as_float" in value:
            return float(value["as_float"])
        raise self._error("a dynamic shape", value, remedy="export again without dynamic_shapes")

    def _shape(self, sizes: Any, name: str) -> Shape:
        shape = tuple(self._static(extent) for extent in sizes)
        if min(shape, default=1) < 1 or size_of(shape) > LARGEST:
            raise self._error("an impossible shape", f"{name} {shape}")
        return shape

    def _tensors(self, folder: str) -> dict[str, Any]:
        """Parameters or constants by their name in the model."""
        listed = f"data/{folder}/model_{folder}_config.json"
        if listed not in self.parts:
            return {}
        result = {}
        for name, entry in dict(self._json(listed)["config"]).items():
            if entry["use_pickle"]:
                raise self._error(
                    "a tensor stored as a pickle, which could run code", name,
                    remedy="export a model of plain tensors, or use --constructor",
                )  # fmt: skip
            part = self.parts.get(f"data/{folder}/{entry['path_name']}")
            if part is None:
                raise self._error("a tensor is missing", name)
            result[str(name)] = self._tensor(str(name), entry["tensor_meta"], self._bytes(part))
        return result

    def _tensor(self, name: str, meta: Any, data: bytes) -> Any:
        dtype = DTYPES.get(int(meta["dtype"]))
        if dtype is None:
            raise self._error("a tensor of a type that snnc does not read", name)
        shape = tuple(self._static(n) for n in meta["sizes"])
        strides = tuple(self._static(n) for n in meta["strides"])
        offset = self._static(meta["storage_offset"])
        width = torch.empty(0, dtype=dtype).element_size()
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        bad = min((*shape, *strides, offset), default=0) < 0
        if bad or (size_of(shape) and (last + 1) * width > len(data)):
            raise self._error("a tensor is truncated", f"{name}: {len(data)} bytes for {shape}")
        if not size_of(shape):
            return torch.empty(shape, dtype=dtype)
        flat = torch.frombuffer(bytearray(data[: len(data) // width * width]), dtype=dtype)
        return flat.as_strided(shape, strides, offset)

    def _bytes(self, info: zipfile.ZipInfo) -> bytes:
        return read_member(self.archive, info, ModelFileError)

    def _json(self, name: str) -> Any:
        info = self.parts.get(name)
        if info is None or info.file_size > LARGEST_JSON:
            raise self._error(
                "not an exported PyTorch program",
                f"{name} is " + ("missing" if info is None else f"{info.file_size} bytes"),
                remedy="write it with snnc.export_torch; a state-dict needs --constructor",
            )
        try:
            return json.loads(self._bytes(info))
        except (ValueError, RecursionError) as error:
            raise self._error(f"{name} is not JSON", str(error)[:200]) from error

    def _error(
        self, problem: str, found: object = "", allowed: object = "", remedy: str = ""
    ) -> ModelFileError:
        return ModelFileError(
            problem, where=self.file, found=str(found)[:200], allowed=allowed,
            remedy=remedy or "export the model again with snnc.export_torch",
        )  # fmt: skip
