"""Networks of lava-dl (``.net`` files of netx): ``read`` gives integers as they are stored."""

from __future__ import annotations

from pathlib import Path

from snnc.compiler.frontends.netx.build import Builder
from snnc.compiler.frontends.netx.hdf5 import read_file
from snnc.compiler.frontends.netx.options import NetxOptions
from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.errors import ModelError
from snnc.ir.integer_network import IntegerNetwork

__all__ = ["NetxOptions", "lower", "read", "read_file"]


def read(path: Path, options: NetxOptions | None = None) -> IntegerNetwork:
    """Read a ``.net`` file as the network that Lava's fixed-point models compute.

    Args:
        path: the ``.net`` file.
        options: what the file does not say.

    Returns:
        The network, without quantization: weights, decays, thresholds and biases are the file's.

    Raises:
        ModelFileError: not a ``.net`` file, truncated, or too large.
        ModelError: layers that do not fit each other, or numbers that no register holds.
        UnsupportedError: a layer or neuron type or parameter that Lava ignores or snnc lacks.
    """
    return lower(read_file(Path(path)), options or NetxOptions())


def lower(layers: tuple[RawNode, ...], options: NetxOptions) -> IntegerNetwork:
    """The second half of ``read``, from the stored records."""
    file = layers[0].file
    try:
        return Builder(layers, options, Notes()).network()
    except ModelError as error:
        if file in error.where:
            raise
        # Raised by snnc.ir, which does not know files.
        raise ModelError(
            error.problem,
            where=f"{file}: {error.where}",
            found=error.found,
            allowed=error.allowed,
            remedy=error.remedy,
        ) from error
