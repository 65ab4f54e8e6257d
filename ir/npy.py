"""NumPy's ``.npy`` format for untrusted bytes: no pickle, no allocation beyond the bytes given.

``numpy.load`` allocates what the header claims before it reads; a 100-byte file may claim a
terabyte.  Here the header must agree with the length of the data first.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from tokenize import TokenError
from typing import Any

import numpy as np

from snnc.ir.arrays import AnyArray, size_of
from snnc.ir.errors import SnncError

_HEADER_LIMIT = 4096
_AT_ONCE = 1 << 24
# NumPy parses a header as Python source, in two attempts: what both can raise on nonsense.
_UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, SyntaxError, TokenError, EOFError,
    RecursionError, OverflowError,
)  # fmt: skip


def write_npy(array: AnyArray) -> bytes:
    """The bytes of a version-1.0 ``.npy`` file, little-endian and in C order."""
    return b"".join(npy_parts(array))


def npy_parts(array: AnyArray) -> Iterator[bytes | memoryview]:
    """The bytes of ``write_npy`` one after the other, without a copy of the whole array."""
    ordered = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    ordered = ordered.reshape(array.shape)
    header = io.BytesIO()
    described = np.lib.format.header_data_from_array_1_0(ordered)
    np.lib.format.write_array_header_1_0(header, described)
    yield header.getvalue()
    flat = ordered.reshape(-1).view(np.uint8)
    for first in range(0, flat.size, _AT_ONCE):
        yield flat[first : first + _AT_ONCE].data


def read_npy(data: bytes, where: str, error: type[SnncError]) -> AnyArray:
    """Read a numeric array; read-only view of ``data``.

    Raises:
        error: not a ``.npy``, pickled objects, a non-numeric dtype, or a length that does not fit.
    """
    shape, fortran, dtype, start = read_header(data, where, error)
    if dtype.hasobject or dtype.kind not in "iufb":
        raise error(
            "an array may hold only numbers",
            where=where,
            found="pickled Python objects" if dtype.hasobject else dtype,
            allowed="integers, floats, booleans",
            remedy="save plain numeric arrays; snnc never unpickles a file",
        )
    size = size_of(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != len(data) - start:
        raise error(
            "the array's length does not match its header",
            where=where,
            found=f"{len(data) - start} bytes",
            allowed=f"{size} bytes for {shape} of {dtype}",
        )
    flat = np.frombuffer(data, dtype, size_of(shape), start)
    array: AnyArray = flat.reshape(shape, order="F" if fortran else "C")
    return array


def read_header(
    data: bytes, where: str, error: type[SnncError]
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether in Fortran order, type, and where the data begins; raises ``error``."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(stream, max_header_size=_HEADER_LIMIT)
    except _UNREADABLE as cause:
        raise error(
            "not a readable .npy array", where=where, found=str(cause).split("\n")[0][:200]
        ) from cause
    return shape, fortran, dtype, stream.tell()
