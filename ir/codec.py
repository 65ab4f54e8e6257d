"""Frozen dataclasses to JSON and arrays, and back, without executing anything.

A dataclass becomes ``{"$": "ClassName", field: value, ...}``, an array ``{"$array": "a7"}`` with
``"dtype"`` when it is stored in fewer bits than it had: simulators rely on wide integers.
Reading constructs only the classes listed in ``_CLASSES``, whose constructors validate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Certificate, CoreTables, RouteTables, Schedule
from snnc.ir.errors import ArtifactError, SnncError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.neuron import Adaptation, GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import (
    Add,
    Bias,
    Delay,
    Index,
    Input,
    Linear,
    Lut,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Rescale,
    Scale,
)
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.types import ValueType
from snnc.ir.weights import Conv, Dense, Sparse

_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        Network, IntegerNetwork, Schedule, CoreTables, RouteTables, Certificate, Neuron, Leak,
        StateRange, GatedBias, Reset, Adaptation, RealNeuron, ValueType, Dense, Conv, Sparse,
        Input, Output, Linear, Add, Mul, MatMul, Reduce, Pool, Index, Delay, Rescale, Lut, Scale,
        Bias,
    )
}  # fmt: skip

_WIDE = ("int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def encode(value: object, arrays: dict[str, AnyArray]) -> Any:
    """JSON form of a value; arrays are appended to ``arrays`` under running names."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = narrow(value)
        if arrays[name].dtype == value.dtype:
            return {"$array": name}
        return {"$array": name, "dtype": value.dtype.name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = type(value).__name__
        if _CLASSES.get(name) is not type(value):
            raise TypeError(f"{name} is not a serializable class")
        fields = {f.name: encode(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
        return {"$": name, **fields}
    if isinstance(value, Mapping):
        return {str(key): encode(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item, arrays) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot serialize {type(value).__name__}")


def narrow(array: AnyArray) -> AnyArray:
    """The smallest signed integer dtype that holds the values (int64 arrays compress badly)."""
    if array.dtype.kind not in "iu" or array.size == 0:
        return array
    low, high = int(array.min()), int(array.max())
    for dtype in (np.int8, np.int16, np.int32):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return array.astype(dtype)
    return array.astype(np.int64)


def decode(value: Any, arrays: Mapping[str, AnyArray]) -> Any:
    """Inverse of ``encode``; lists become tuples.

    Raises:
        ArtifactError: an unknown class, a missing array, or fields a constructor refuses.
    """
    if isinstance(value, list):
        return tuple(decode(item, arrays) for item in value)
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return _array(value, arrays)
    if "$" not in value:
        return {key: decode(item, arrays) for key, item in value.items()}
    kind = value["$"]
    cls = _CLASSES.get(kind)
    if cls is None:
        raise ArtifactError(
            "unknown record class", where=str(kind), remedy="was it written by a newer snnc?"
        )
    fields = {key: decode(item, arrays) for key, item in value.items() if key != "$"}
    try:
        return cls(**fields)
    except SnncError as error:
        raise ArtifactError("a record is not valid", where=str(kind), found=str(error)) from error
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise ArtifactError("a record is malformed", where=str(kind), found=str(error)) from error


def _array(value: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> AnyArray:
    name, dtype = value["$array"], value.get("dtype")
    if name not in arrays:
        raise ArtifactError("an array is missing", where=str(name))
    if dtype is None:
        return arrays[name]
    if dtype not in _WIDE:
        raise ArtifactError("unknown array type", where=name, found=dtype, allowed=", ".join(_WIDE))
    return arrays[name].astype(dtype)
