"""``TensorProto`` to arrays, without trusting one number of it.

Weights may lie in a file beside the model ("external data"); such a file must be a regular file in
the model's own folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.ir.arrays import AnyArray, Shape
from snnc.ir.errors import ModelError, ModelFileError, UnsupportedError

MAX_ELEMENTS = 1 << 29
"""Of all constants of one model together."""
MAX_AXES = 16
# Element types of onnx.proto: code -> (name, bits, NumPy type of the stored bytes, typed field).
_TYPES: dict[int, tuple[str, int, str, str]] = {
    1: ("float32", 32, "<f4", "float_data"),
    2: ("uint8", 8, "u1", "int32_data"),
    3: ("int8", 8, "i1", "int32_data"),
    4: ("uint16", 16, "<u2", "int32_data"),
    5: ("int16", 16, "<i2", "int32_data"),
    6: ("int32", 32, "<i4", "int32_data"),
    7: ("int64", 64, "<i8", "int64_data"),
    9: ("bool", 8, "?", "int32_data"),
    10: ("float16", 16, "<f2", "int32_data"),
    11: ("float64", 64, "<f8", "double_data"),
    12: ("uint32", 32, "<u4", "uint64_data"),
    13: ("uint64", 64, "<u8", "uint64_data"),
    16: ("bfloat16", 16, "<u2", "int32_data"),
    21: ("uint4", 4, "u1", "int32_data"),
    22: ("int4", 4, "u1", "int32_data"),
}
NIBBLES = {
    21: np.dtype("u1", metadata={"bits": 4}),
    22: np.dtype("i1", metadata={"bits": 4}),
}
"""uint4 and int4: NumPy has no 4-bit integers, so bytes remember how wide they were."""
_EXTERNAL = 1
_BIT_PATTERNS = (10, 16)
"""Types whose typed field holds the bits as an integer."""


def type_name(code: int) -> str:
    """NumPy's name of an element type, or its number where there is none."""
    return _TYPES[code][0] if code in _TYPES else f"type {code}"


def stored_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Smallest and largest value of an integer type as it was stored, 4 bits included."""
    bits = int(dtype.metadata["bits"]) if dtype.metadata else 8 * dtype.itemsize
    half = 1 << (bits - 1)
    return (-half, half - 1) if dtype.kind == "i" else (0, 2 * half - 1)


def shape_of(tensor: Any, where: str) -> Shape:
    """The stored extents; raises ``ModelError`` where they are no extents."""
    shape = tuple(int(extent) for extent in tensor.dims)
    if len(shape) > MAX_AXES or any(extent < 0 for extent in shape):
        raise ModelError("a tensor with impossible extents", where=where, found=shape[:MAX_AXES])
    return shape


@dataclass
class TensorReader:
    """Decodes the tensors of one model under a budget of elements.

    Attributes:
        file: name of the model file, for messages.
        folder: the only one from which external data is read.
        left: elements that may still be read.
    """

    file: str
    folder: Path
    left: int = MAX_ELEMENTS

    def array(self, tensor: Any, where: str) -> AnyArray:
        """The values of a ``TensorProto``.

        Raises:
            ModelError: extents and data disagree, or NaN.
            ModelFileError: too many elements; external data missing or outside the folder.
            UnsupportedError: an element type that is not a real number or an integer.
        """
        shape = shape_of(tensor, where)
        if tensor.data_type not in _TYPES:
            raise UnsupportedError(
                "an element type that snnc does not compute with",
                where=where,
                found=type_name(tensor.data_type),
                allowed=", ".join(name for name, *_ in _TYPES.values()),
                remedy="export the model in float32",
            )
        elements = self._spend(shape, where)
        if tensor.data_location == _EXTERNAL:
            values = self._raw(tensor.data_type, self._external(tensor, where), elements, where)
        elif tensor.HasField("raw_data"):
            values = self._raw(tensor.data_type, tensor.raw_data, elements, where)
        else:
            values = self._typed(tensor, elements, where)
        return _checked(values.reshape(shape), where)

    def _spend(self, shape: Shape, where: str) -> int:
        elements = 1
        for extent in shape:
            elements *= extent
        if elements > self.left:
            raise ModelFileError(
                "the model is too large",
                where=where,
                found=f"{elements:,} elements in one tensor",
                allowed=f"{MAX_ELEMENTS:,} in all",
            )
        self.left -= elements
        return elements

    def _raw(self, code: int, data: bytes, elements: int, where: str) -> AnyArray:
        _, bits, stored, _ = _TYPES[code]
        needed = (elements * bits + 7) // 8
        if len(data) != needed:
            raise ModelError(
                "the tensor's data does not fit its shape",
                where=where,
                found=f"{len(data):,} bytes",
                allowed=f"{needed:,} bytes for {elements:,} elements",
                remedy="the file is truncated or damaged: export the model again",
            )
        return _decoded(code, np.frombuffer(data, stored), elements)

    def _typed(self, tensor: Any, elements: int, where: str) -> AnyArray:
        name, bits, stored, label = _TYPES[tensor.data_type]
        values = getattr(tensor, label)
        needed = (elements + 1) // 2 if bits == 4 else elements
        if len(values) != needed:
            raise ModelError(
                "the tensor's data does not fit its shape",
                where=where,
                found=f"{len(values):,} values in {label}",
                allowed=f"{needed:,} for {elements:,} elements",
                remedy="the file is truncated or damaged: export the model again",
            )
        if bits == 4 or tensor.data_type in _BIT_PATTERNS:
            width = np.uint8 if bits == 4 else np.uint16
            patterns = (np.asarray(values, np.int64) & np.iinfo(width).max).astype(width)
            return _decoded(tensor.data_type, patterns.view(stored), elements)
        if tensor.data_type in (1, 7, 11, 13):  # the field has the tensor's own type
            return np.asarray(values, stored)
        wide = np.asarray(values, np.int64 if label == "int32_data" else np.uint64)
        narrow: AnyArray = wide.astype(stored)
        if (narrow.astype(wide.dtype) != wide).any():
            raise ModelError(f"values that are no {name}", where=where, found=label)
        return narrow

    def _external(self, tensor: Any, where: str) -> bytes:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        path = self._confined(entries.get("location", ""), where)
        try:
            offset, length = int(entries.get("offset", "0")), int(entries.get("length", "-1"))
        except ValueError:
            raise ModelError(
                "malformed offset or length of external data",
                where=where,
                found=f"{entries.get('offset')}, {entries.get('length')}"[:80],
            ) from None
        try:
            with path.open("rb") as stream:
                size = path.stat().st_size
                length = size - offset if length < 0 else length
                if not 0 <= offset <= offset + length <= size:
                    raise ModelFileError(
                        "the file with external data is too short",
                        where=where,
                        found=f"{size:,} bytes in {path.name}",
                        allowed=f"{offset + length:,} or more",
                        remedy="copy the data file again; it belongs to this model file only",
                    )
                if length > 8 * max(self.left, 1 << 20):
                    raise ModelFileError("the model is too large", where=where, found=length)
                stream.seek(offset)
                return stream.read(length)
        except OSError as error:
            raise ModelFileError(
                "the file with external data cannot be opened",
                where=where,
                found=f"{path.name}: {error.strerror or error}",
                remedy="keep it in the same folder as the model, under the name it was saved with",
            ) from error

    def _confined(self, location: str, where: str) -> Path:
        """The path of an external file, which must not leave the model's folder."""
        folder = self.folder.resolve()
        try:
            path = (folder / location).resolve()
            inside = bool(location) and path.is_relative_to(folder) and path != folder
            regular = inside and (not path.exists() or path.is_file())
        except (OSError, ValueError, RuntimeError):  # no path at all, or a circle of links
            inside = regular = False
        if not inside or not regular or "\\" in location:
            raise ModelFileError(
                "external data outside the model's folder",
                where=where,
                found=repr(location)[:120],
                allowed="a regular file in the folder of the model",
                remedy="do not use this file; an honest exporter writes the data beside the model",
            )
        return path


def _decoded(code: int, stored: AnyArray, elements: int) -> AnyArray:
    """Stored units as values: two 4-bit numbers per byte, bfloat16 as the upper half of float32."""
    name = _TYPES[code][0]
    if name in ("uint4", "int4"):
        nibbles = np.stack([stored & 15, stored >> 4], axis=-1).reshape(-1)[:elements]
        signed = (nibbles.astype(np.int8) ^ 8) - 8 if name == "int4" else nibbles
        return signed.astype(NIBBLES[code])
    if name == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored


def _checked(values: AnyArray, where: str) -> AnyArray:
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ModelError(
            "the values must be finite",
            where=where,
            found=f"{int(np.isnan(values).sum())} of {values.size} values are NaN",
            remedy="repair the checkpoint; a diverged training run is the usual cause",
        )
    values.flags.writeable = False
    return values
