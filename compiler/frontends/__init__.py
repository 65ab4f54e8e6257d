"""Model files to ``Network``; which frontend reads a file is decided by its contents."""

from __future__ import annotations

from pathlib import Path

from snnc.compiler.frontends import nir
from snnc.compiler.frontends.nir import NirOptions
from snnc.ir.errors import ModelFileError
from snnc.ir.network import Network

__all__ = ["NirOptions", "load_model"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUFFIXES = (".nir", ".h5", ".hdf5")


def load_model(path: Path, options: NirOptions | None = None) -> Network:
    """Read a trained network from a file.

    Raises:
        ModelFileError: no frontend knows this kind of file; else as ``nir.read``.
    """
    path = Path(path)
    if path.suffix.lower() in SUFFIXES or _starts_with(path, HDF5_SIGNATURE):
        return nir.read(path, options)
    if not path.exists():
        raise ModelFileError("no such file", where=str(path))
    raise ModelFileError(
        "no frontend reads this kind of file",
        where=str(path),
        found=path.suffix or "no suffix",
        allowed="NIR (.nir)",
        remedy="export the network to NIR: docs/nir.md lists how, framework by framework",
    )


def _starts_with(path: Path, signature: bytes) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(signature)) == signature
    except OSError:
        return False
