"""PyTorch files: exported programs, and weights for a constructor that the user names.

Nothing stored in a file is executed: programs are read as JSON and raw tensors, safetensors as raw
tensors, ``.pt`` with ``weights_only``.  The constructor is code of the user's own choice.
"""

from __future__ import annotations

import importlib
import json
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnc.compiler.frontends.torch import from_torch, require_torch
from snnc.ir.arrays import size_of
from snnc.ir.errors import ModelFileError, OptionError, SnncError

if TYPE_CHECKING:
    from snnc.ir.network import Network

PROGRAM = ".pt2"
WEIGHTS = (".pt", ".pth", ".safetensors")
TIME_AXES: Mapping[str, Any] = {"auto": "auto", "none": None, "0": 0, "1": 1}
UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError,
    AttributeError, IndexError, MemoryError, OverflowError,
)  # fmt: skip
LARGEST_HEADER = 64 << 20
SAFETENSORS = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class TorchOptions:
    """What a PyTorch file does not say.

    Attributes:
        constructor: ``package.module:function`` that returns (model, example input), for weights.
        time_axis: "auto", "none", "0" or "1"; see ``from_torch``.
        steps: time steps per sample, where the model repeats a static input itself.
    """

    constructor: str | None = None
    time_axis: str = "auto"
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.time_axis not in TIME_AXES:
            raise OptionError(
                "no such time axis", where="--time-axis", found=self.time_axis,
                allowed=", ".join(TIME_AXES),
            )  # fmt: skip


def is_torch(path: Path) -> bool:
    """Whether the file is an exported program or a file of weights."""
    return Path(path).suffix.lower() in (PROGRAM, *WEIGHTS)


def read(path: Path, options: TorchOptions | None = None) -> Network:
    """The network of a PyTorch file.

    Raises:
        ModelFileError: the file is damaged, or could run code when it is loaded.
        OptionError: PyTorch is missing; a constructor is missing, superfluous or fails.
        UnsupportedError, ModelError: as ``from_torch``.
    """
    path, options = Path(path), options or TorchOptions()
    require_torch()
    if path.suffix.lower() == PROGRAM:
        if options.constructor is not None:
            raise OptionError(
                "a program needs no constructor", where="--constructor", found=options.constructor
            )
        from snnc.compiler.frontends.torch.program import read_program

        return read_program(path, TIME_AXES[options.time_axis], options.steps)
    if options.constructor is None:
        raise OptionError(
            "a file of weights does not say what they are the weights of",
            where="--constructor",
            found=path.name,
            remedy="add --constructor package.module:function, which returns (model, example)",
        )
    state = read_weights(path)
    model, example = construct(options.constructor)
    _load(model, state, path)
    return from_torch(
        model.eval(), example, steps=options.steps, name=path.stem,
        time_axis=TIME_AXES[options.time_axis],
    )  # fmt: skip


def read_weights(path: Path) -> dict[str, Any]:
    """A state-dict: tensors by name.

    Raises:
        ModelFileError: damaged, or anything else than tensors in it.
    """
    if not path.is_file():
        raise ModelFileError("no such file", where=str(path))
    if path.suffix.lower() == ".safetensors":
        return _safetensors(path)
    torch = require_torch()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        first = next(iter(str(error).splitlines()), "")
        raise ModelFileError(
            "not a file of weights that can be loaded without running its code",
            where=str(path),
            found=f"{type(error).__name__}: {first[:150]}",
            remedy="save model.state_dict(), not the model",
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]  # checkpoints of training scripts
    if not isinstance(state, Mapping) or not all(
        isinstance(v, torch.Tensor) for v in state.values()
    ):
        raise ModelFileError(
            "not a state-dict", where=str(path), found=type(state).__name__,
            remedy="save model.state_dict()",
        )  # fmt: skip
    return {str(name): tensor for name, tensor in state.items()}


def _safetensors(path: Path) -> dict[str, Any]:
    """The format: header length (8 bytes, little endian), JSON header, raw tensors."""
    torch = require_torch()
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, LARGEST_HEADER):
        raise _damaged(path, f"header of {length} bytes in a file of {len(data)}")
    try:
        header = json.loads(data[8 : 8 + length])
        body = memoryview(data)[8 + length :]
        result = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            dtype = getattr(torch, SAFETENSORS[entry["dtype"]])
            shape = tuple(int(n) for n in entry["shape"])
            begin, end = (int(n) for n in entry["data_offsets"])
            width = torch.empty(0, dtype=dtype).element_size()
            if min((0, *shape)) < 0 or not 0 <= begin <= end <= len(body):
                raise _damaged(path, name)
            if end - begin != size_of(shape) * width:
                raise _damaged(path, f"{name}: {end - begin} bytes for {shape}")
            flat = torch.frombuffer(bytearray(body[begin:end]) or bytearray(width), dtype=dtype)
            result[str(name)] = flat[: size_of(shape)].reshape(shape)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, f"{type(error).__name__}: {str(error)[:100]}") from error
    return result


def _damaged(path: Path, found: str) -> ModelFileError:
    return ModelFileError("not a safetensors file, or truncated", where=str(path), found=found)


def construct(name: str) -> tuple[Any, Any]:
    """Import and call the constructor; the current folder counts as importable.

    Raises:
        OptionError: it cannot be imported, fails, or returns something else.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise OptionError(
            "not the name of a constructor", where="--constructor", found=name,
            allowed="package.module:function",
        )  # fmt: skip
    with _current_folder():
        try:
            made = getattr(importlib.import_module(module_name), function_name)()
        except SnncError:
            raise
        except Exception as error:
            raise OptionError(
                "the constructor cannot be imported or fails",
                where="--constructor",
                found=f"{name}: {type(error).__name__}: {error}",
            ) from error
    torch = require_torch()
    whole = isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], torch.nn.Module)
    if not whole:
        raise OptionError(
            "a constructor returns (model, example input)",
            where="--constructor",
            found=f"{name} returned {type(made).__name__}",
        )
    return made[0], made[1]


@contextmanager
def _current_folder() -> Iterator[None]:
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def _load(model: Any, state: Mapping[str, Any], path: Path) -> None:
    try:
        model.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(
            "the weights do not fit the constructor's model",
            where=str(path),
            found=" ".join(str(error).split())[:300],
            remedy="name the constructor the weights were trained with",
        ) from error
