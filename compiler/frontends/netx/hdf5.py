"""Read the HDF5 layout of lava-dl's netx into one ``RawNode`` per layer.

Layout (lava-dl 0.6.0, ``slayer/block/base.py``): ``/layer/<i>/type``, one dataset per field,
``/layer/<i>/neuron/<parameter>``, and ``weight/real`` with ``weight/imag`` for complex weights;
``/simulation`` holds training settings and is not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnc.compiler.frontends.hdf5 import Format, Reader, names, opened, text_of
from snnc.compiler.frontends.record import RawNode
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ModelFileError

MAX_LAYERS = 10_000
NETX = Format(
    "netx", ".net", "export_hdf5 of lava-dl", "export the trained network with net.export_hdf5"
)


def read_file(path: Path) -> tuple[RawNode, ...]:
    """Read the layers in order; they are named ``layer0``, ``layer1``...

    Fields of a subgroup have a slash in their name, ``neuron/vDecay``.

    Raises:
        ModelFileError: missing, not HDF5, truncated, not netx, too large, unexpected contents.
    """
    with opened(path, NETX) as (root, size):
        return _Reader(path.name, size).layers(root)


class _Reader(Reader):
    def layers(self, root: Any) -> tuple[RawNode, ...]:
        """All layers of the file."""
        group = self.member(root, "layer", "/layer")
        found = names(group, self.name) if isinstance(group, h5py.Group) else []
        if not found:
            raise ModelFileError(
                "HDF5, but not a network of lava-dl",
                where=self.name,
                found=f"members {', '.join(map(str, list(root)[:8])) or 'none'}",
                allowed="/layer/0, /layer/1...",
                remedy="a NIR file ends in .nir; otherwise export again with net.export_hdf5",
            )
        wanted = [str(i) for i in range(len(found))]
        if len(found) > MAX_LAYERS or sorted(wanted) != found:
            raise ModelFileError(
                "the layers are not numbered from 0 without gaps",
                where=f"{self.name}: /layer",
                found=", ".join(found[:12]),
                allowed=f"at most {MAX_LAYERS} layers, 0, 1, 2...",
                remedy="the export was interrupted or edited; write the file again",
            )
        return tuple(self.layer(group, label) for label in wanted)

    def layer(self, group: Any, label: str) -> RawNode:
        """One layer with its fields and those of its subgroups."""
        place = f"layer/{label}"
        layer = self.member(group, label, place)
        if not isinstance(layer, h5py.Group) or "type" not in layer:
            raise ModelFileError(
                "a layer without a type",
                where=f"{self.name}: {place}",
                remedy="the export was interrupted or failed; write the file again",
            )
        fields = self.fields(layer, place)
        kind = fields.pop("type")
        if not isinstance(kind, str):
            raise ModelFileError("the type is not a text", where=f"{self.name}: {place}")
        return RawNode(self.name, f"layer{label}", kind, fields)

    def fields(self, group: Any, place: str, prefix: str = "") -> dict[str, AnyArray | str]:
        """Datasets of a group, and of its subgroups one level down."""
        result: dict[str, AnyArray | str] = {}
        for name in names(group, f"{self.name}: {place}"):
            where = f"{place}/{name}"
            if isinstance(self.member(group, name, where), h5py.Group) and not prefix:
                result |= self.fields(group[name], where, f"{name}/")
            else:
                result[prefix + name] = _plain(self.value(group, name, where))
        return result


def _plain(value: AnyArray | str) -> AnyArray | str:
    """lava-dl stores a type as an array of one text."""
    if not isinstance(value, str) and value.dtype == object and value.size == 1:
        return text_of(np.asarray(value).reshape(-1)[0]) or ""
    return value
