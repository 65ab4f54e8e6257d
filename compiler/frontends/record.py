"""One node of a model file as plain validated data, and what a frontend had to assume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snnc.ir.arrays import AnyArray, RealArray, Shape
from snnc.ir.errors import ModelError


@dataclass(frozen=True, eq=False)
class RawNode:
    """One node as stored: its type and its datasets, numbers or texts, nothing interpreted.

    Attributes:
        file: name of the file, for messages.
        name: path in the file with dots between nested graphs.
        kind: the name of its type in the format.
        fields: datasets by name; text is ``str``, everything else a numeric array.
        nested: the node lies inside a nested graph.
        inputs: nodes it reads, where the format stores that with the node.
    """

    file: str
    name: str
    kind: str
    fields: Mapping[str, AnyArray | str]
    nested: bool = False
    inputs: tuple[str, ...] = ()

    def where(self, label: str = "") -> str:
        """The place as the user should look for it."""
        place = f"{self.file}: node '{self.name}' ({self.kind})"
        return f"{place}, field '{label}'" if label else place

    def has(self, label: str) -> bool:
        """Whether the dataset exists."""
        return label in self.fields

    def text(self, label: str) -> str | None:
        """The field if it is a text."""
        value = self.fields.get(label)
        return value if isinstance(value, str) else None

    def real(self, label: str, default: float | None = None) -> RealArray:
        """A field as float64; missing means ``default``; NaN and infinity are refused."""
        raw = self.fields.get(label)
        if raw is None:
            if default is None:
                raise ModelError(
                    "a field is missing",
                    where=self.where(label),
                    found=", ".join(sorted(self.fields)) or "no fields",
                    remedy="export the model again; the format requires this field",
                )
            return np.full((), default, np.float64)
        if isinstance(raw, str) or raw.dtype.kind not in "fiub":
            raise ModelError("a number is required", where=self.where(label), found=repr(raw)[:80])
        values: RealArray = np.asarray(raw, np.float64)
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise ModelError(
                "the values must be finite",
                where=self.where(label),
                found=f"{bad} of {values.size} values are NaN or infinite",
                remedy="repair the checkpoint; a diverged training run is the usual cause",
            )
        if 0 in values.shape:
            raise ModelError("the field is empty", where=self.where(label), found=values.shape)
        return values

    def integers(self, label: str, default: int | None = None) -> Shape:
        """A field as a tuple of integers; a scalar gives one."""
        values = self.real(label, None if default is None else float(default)).reshape(-1)
        if (values != np.round(values)).any() or np.abs(values).max() > 2**31:
            raise ModelError(
                "integers are required", where=self.where(label), found=values[:8].tolist()
            )
        return tuple(int(v) for v in values)

    def vector(self, label: str, axes: int, default: int | None = None) -> Shape:
        """A field as one integer per axis; a single number counts for all axes."""
        values = self.integers(label, default)
        if len(values) == 1:
            values *= axes
        if len(values) != axes:
            raise ModelError(
                "one number, or one per axis, is required",
                where=self.where(label),
                found=values,
                allowed=f"1 or {axes} numbers",
            )
        return values

    def shape(self, label: str) -> Shape | None:
        """A field as a shape, or None when it is absent or says nothing (zeros)."""
        if not self.has(label):
            return None
        values = self.integers(label)
        return values if min(values) > 0 else None


@dataclass
class Notes:
    """Collects what was assumed, in the order it was decided."""

    values: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, text: str) -> None:
        """Remember one assumption; several under one key are joined."""
        known = self.values.get(key)
        self.values[key] = text if known is None else f"{known}; {text}"
