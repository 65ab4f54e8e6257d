"""Model files to networks; which frontend reads a file is decided by its name and contents."""

from __future__ import annotations

from pathlib import Path

from snnc.compiler.frontends import netx, nir, onnx
from snnc.compiler.frontends.netx import NetxOptions
from snnc.compiler.frontends.nir import NirOptions
from snnc.compiler.frontends.onnx import OnnxOptions
from snnc.compiler.frontends.torch import files as torch_files
from snnc.compiler.frontends.torch.files import TorchOptions, is_torch
from snnc.ir.errors import ModelFileError

__all__ = [
    "NetxOptions", "NirOptions", "OnnxOptions", "TorchOptions", "is_netx", "is_onnx", "is_torch",
    "netx", "nir", "onnx", "require_nir", "torch_files",
]  # fmt: skip

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUFFIXES = (".nir", ".h5", ".hdf5")
NETX_SUFFIX = ".net"
ONNX_SUFFIX = ".onnx"


def is_netx(path: Path) -> bool:
    """Whether the file is a network of lava-dl, which comes as integers."""
    return Path(path).suffix.lower() == NETX_SUFFIX


def is_onnx(path: Path) -> bool:
    """Whether the file is an ONNX model."""
    return Path(path).suffix.lower() == ONNX_SUFFIX


def require_nir(path: Path) -> None:
    """Raise ``ModelFileError`` unless the file may be NIR, naming all that is read."""
    if path.suffix.lower() in SUFFIXES or _starts_with(path, HDF5_SIGNATURE):
        return
    if not path.exists():
        raise ModelFileError("no such file", where=str(path))
    raise ModelFileError(
        "no frontend reads this kind of file",
        where=str(path),
        found=path.suffix or "no suffix",
        allowed="NIR (.nir), lava-dl (.net), ONNX (.onnx), PyTorch (.pt2, or weights)",
        remedy="export the network to NIR: docs/nir.md lists how, framework by framework",
    )


def _starts_with(path: Path, signature: bytes) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(signature)) == signature
    except OSError:
        return False
