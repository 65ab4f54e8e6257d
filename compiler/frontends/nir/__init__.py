"""NIR files (neuromorphs/NIR, any version): ``read`` and the options that complete them."""

from __future__ import annotations

from pathlib import Path

from snnc.compiler.frontends.nir.build import Builder
from snnc.compiler.frontends.nir.describe import describe
from snnc.compiler.frontends.nir.dialect import choose
from snnc.compiler.frontends.nir.graph import clean
from snnc.compiler.frontends.nir.hdf5 import read_file
from snnc.compiler.frontends.nir.options import NirOptions
from snnc.compiler.frontends.nir.record import RawFile
from snnc.compiler.frontends.nir.told import completed
from snnc.compiler.frontends.record import Notes
from snnc.ir.errors import ModelError
from snnc.ir.network import Network

__all__ = ["NirOptions", "describe", "lower", "read"]


def read(path: Path, options: NirOptions | None = None) -> Network:
    """Read a NIR file as the network its framework computes.

    Args:
        path: the ``.nir`` file.
        options: what the file does not say; the default guesses the exporter.

    Returns:
        The network; ``assumptions`` lists every decision the file left open.

    Raises:
        ModelFileError: not a NIR file, truncated, or too large.
        ModelError: a NIR file whose graph is not a valid network, naming node and field.
        UnsupportedError: a valid network with a node or loop snnc does not express.
    """
    return lower(read_file(Path(path)), options or NirOptions())


def lower(raw: RawFile, options: NirOptions) -> Network:
    """The second half of ``read``, from the stored records."""
    notes = Notes()
    graph = clean(raw, notes)
    try:
        options = completed(raw, options, notes)
        dialect = choose(graph, options, notes)
        return Builder(graph, dialect, options.transpose_linear, notes).network()
    except ModelError as error:
        if raw.name in error.where:
            raise
        # Raised by snnc.ir, which does not know files.
        raise ModelError(
            error.problem,
            where=f"{raw.name}: {error.where}",
            found=error.found,
            allowed=error.allowed,
            remedy=error.remedy,
        ) from error
