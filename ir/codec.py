"""Frozen dataclasses to JSON and arrays, and back, without executing anything.

A dataclass becomes ``{"$": "ClassName", field: value, ...}``, an array ``{"$array": "a7"}`` with
``"dtype"`` when it is stored in fewer bits than it had: simulators rely on wide integers.
Reading constructs only the classes listed in ``_CLASSES``, whose constructors validate.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.core_tables import CoreTables, SharedCoreTables
from snnc.ir.deployment import Certificate, KeyTables, RouteTables, Schedule
from snnc.ir.errors import ArtifactError, SnncError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.neuron import (
    Adaptation,
    DeltaCode,
    GatedBias,
    Leak,
    Neuron,
    Recovery,
    Reset,
    StateRange,
)
from snnc.ir.nodes import (
    Add,
    Barrier,
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
from snnc.ir.phased import Loop, Member
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.rows import Rows
from snnc.ir.types import ValueType
from snnc.ir.weights import Conv, Dense, Sparse
from snnc.ir.wire import WireCode

_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        Network, IntegerNetwork, Schedule, CoreTables, RouteTables, KeyTables, Certificate, Neuron,
        Leak, StateRange, GatedBias, Reset, Adaptation, Recovery, DeltaCode, RealNeuron, ValueType,
        Dense, Conv, Sparse,
        Input, Output, Linear, Add, Mul, MatMul, Reduce, Pool, Index, Delay, Rescale, Lut, Scale,
        Bias, Barrier, WireCode, Member, Loop, SharedCoreTables, Rows,
    )
}  # fmt: skip

Classes = Mapping[str, type[Any]]
_SCALARS = (int, float, bool, str, NoneType)
_WIDE = ("int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def encode(value: object, arrays: dict[str, AnyArray], classes: Classes = _CLASSES) -> Any:
    """JSON form of a value; arrays are appended to ``arrays`` under running names.

    ``classes`` are the records that may occur; by default those of the artifact.
    """
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = narrow(value)
        if arrays[name].dtype == value.dtype:
            return {"$array": name}
        return {"$array": name, "dtype": value.dtype.name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = type(value).__name__
        if classes.get(name) is not type(value):
            raise TypeError(f"{name} is not a serializable class")
        fields = dataclasses.fields(value)
        parts = {f.name: encode(getattr(value, f.name), arrays, classes) for f in fields}
        return {"$": name, **parts}
    if isinstance(value, Mapping):
        return {str(key): encode(item, arrays, classes) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item, arrays, classes) for item in value]
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


def decode(value: Any, arrays: Mapping[str, AnyArray], classes: Classes = _CLASSES) -> Any:
    """Inverse of ``encode``; lists become tuples.

    Raises:
        ArtifactError: an unknown class, a missing array, or fields a constructor refuses.
    """
    if isinstance(value, list):
        return tuple(decode(item, arrays, classes) for item in value)
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return _array(value, arrays)
    if "$" not in value:
        return {key: decode(item, arrays, classes) for key, item in value.items()}
    kind = value["$"]
    cls: Any = classes.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ArtifactError(
            "unknown record class", where=str(kind), remedy="was it written by a newer snnc?"
        )
    fields = {key: decode(item, arrays, classes) for key, item in value.items() if key != "$"}
    for key, allowed in _scalar_fields(cls).items():
        if key in fields and not any(_is_a(fields[key], kind) for kind in allowed):
            raise ArtifactError(
                "a field has the wrong type",
                where=f"{kind}.{key}",
                found=repr(fields[key])[:60],
                allowed=", ".join(getattr(kind, "__name__", repr(kind)) for kind in allowed),
            )
    try:
        return cls(**fields)
    except SnncError as error:
        facts = ": ".join(part for part in (error.where, error.problem, error.found) if part)
        raise ArtifactError("a record is not valid", where=str(kind), found=facts) from error
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise ArtifactError("a record is malformed", where=str(kind), found=str(error)) from error


@functools.cache
def _scalar_fields(record: type[Any]) -> Mapping[str, tuple[Any, ...]]:
    """What a record's numbers, flags and words may be: types, and the words of a ``Literal``."""
    result = {}
    for name, hint in get_type_hints(record).items():
        parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        allowed = [w for part in parts for w in (get_args(part) if _is_literal(part) else [part])]
        if all(isinstance(kind, str) or kind in _SCALARS for kind in allowed):
            result[name] = tuple(allowed)
    return result


def _is_literal(hint: Any) -> bool:
    return get_origin(hint) is Literal


def _is_a(value: object, kind: Any) -> bool:
    if isinstance(kind, str):
        return isinstance(value, str) and value == kind
    if kind is bool or kind is str or kind is NoneType:
        return isinstance(value, kind)
    number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
    return number or (kind is float and isinstance(value, float))


def _array(value: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> AnyArray:
    name, dtype = value["$array"], value.get("dtype")
    if not isinstance(name, str) or name not in arrays:
        raise ArtifactError("an array is missing", where=str(name))
    if dtype is None:
        return arrays[name]
    if not isinstance(dtype, str) or dtype not in _WIDE:
        raise ArtifactError("unknown array type", where=name, found=dtype, allowed=", ".join(_WIDE))
    return arrays[name].astype(dtype)
