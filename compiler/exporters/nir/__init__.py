"""Write a ``Network`` as a NIR file that others read, and that ``snnc`` reads as the same network.

Every file is read again, in memory, by the frontend before it is stored: what the format or the
chosen dialect cannot say shows up as a field of a population that came back different.  That is
refused by name, unless the user gave leave to approximate exactly this field.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snnc.compiler.exporters.nir.check import Difference, differences
from snnc.compiler.exporters.nir.file import write_file
from snnc.compiler.exporters.nir.gains import with_usual_gains
from snnc.compiler.exporters.nir.graph import GraphWriter
from snnc.compiler.exporters.nir.options import READERS, NirExport, NirExportOptions
from snnc.compiler.exporters.nir.remarks import remarks
from snnc.compiler.frontends.nir import NirOptions, lower
from snnc.compiler.frontends.nir.dialect import DIALECTS, Dialect
from snnc.compiler.frontends.nir.graph import clean
from snnc.compiler.frontends.nir.loops import delayed_edges
from snnc.compiler.frontends.nir.record import RawFile
from snnc.compiler.frontends.record import Notes
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network
from snnc.ir.real_neuron import RealNeuron

__all__ = ["NirExport", "NirExportOptions", "export_nir"]

# Which rules a reader lets its user choose; "nir" stands for readers that take them all.
_CHOOSABLE = {"nir": ("threshold", "reset"), "snntorch": ("reset",)}
_PREFERRED = ("snntorch", "spikingjelly", "norse", "sinabs", "rockpool", "nir")
_STEPS = "nir"  # without a framework to please, time constants count steps


def export_nir(network: Network, path: Path, options: NirExportOptions | None = None) -> NirExport:
    """Write a network.

    Args:
        network: as a frontend made it, not normalised: layers keep their own shape.
        path: the ``.nir`` file.
        options: whose conventions, and what may be approximated.

    Raises:
        UnsupportedError: an operator or a rule that NIR, or the chosen reader, does not have.
        OutputError: the path cannot be written.
    """
    options = options or NirExportOptions()
    draft = _chosen(network, options)
    _refuse(draft, options)
    told = {f"snnc_{key}": str(value) for key, value in draft.read_with.items()}
    write_file(replace(draft.raw, metadata=told), path)
    lost = tuple(str(d) for d in draft.found if not d.rounded)
    rounded = tuple(str(d) for d in draft.found if d.rounded)
    return NirExport(
        draft.dialect.name,
        draft.read_with,
        (*draft.remarks, *remarks(network, draft.raw), *rounded),
        lost,
    )


@dataclass(frozen=True, eq=False)
class _Draft:
    """The file under one dialect, and what it would be read as.

    Attributes:
        read_with: the reading it is written for, as ``NirOptions``.
        found: fields of populations that come back different.
    """

    dialect: Dialect
    raw: RawFile
    read_with: dict[str, Any]
    found: tuple[Difference, ...]
    remarks: tuple[str, ...]

    @property
    def lost(self) -> list[Difference]:
        """Differences beyond rounding."""
        return [d for d in self.found if not d.rounded]


def _candidates(network: Network, options: NirExportOptions) -> list[str]:
    if options.reader != "auto":
        return [options.reader]
    origin = network.assumptions.get("dialect", "").split(" ")[0]
    first = [origin] if origin in READERS else []
    return [*first, *(name for name in _PREFERRED if name not in first)]


def _chosen(network: Network, options: NirExportOptions) -> _Draft:
    """The first draft that reads back as it is, else the one with the fewest differences."""
    drafts = []
    for name in _candidates(network, options):
        drafts.append(_draft(network, name, options))
        if not drafts[-1].lost and "loop_delay" not in drafts[-1].read_with:
            return drafts[-1]

    def flaws(draft: _Draft) -> tuple[int, bool]:
        unwanted = sum(d.field not in options.approximate for d in draft.lost)
        return unwanted, "loop_delay" in draft.read_with

    return min(drafts, key=flaws)


def _draft(network: Network, name: str, options: NirExportOptions) -> _Draft:
    base = DIALECTS[name]
    network, moved = (network, ()) if options.reader == "auto" else with_usual_gains(network, name)
    dialect = replace(base, dt=options.dt or _usual_step(network, base))
    reading = _reading(network, dialect)
    raw, place, notes = _graph(network, dialect, reading)
    if options.precision == "float32":
        raw = _short(raw)
    if place is not None and place != dialect.loop_delay:
        reading["loop_delay"] = place
        notes = (*notes, f"loops delay {place} their weights; {name} does so on the other side, "
                         "which differs only where recurrent weights have a bias")  # fmt: skip
    again = lower(raw, NirOptions(**reading))
    found = tuple(differences(network, again))
    return _Draft(dialect, raw, reading, found, (*moved, *notes))


def _usual_step(network: Network, dialect: Dialect) -> float:
    """The step the network was read with where the dialect is the same, else the usual one."""
    known = network.assumptions.get("dt", "").split(" ")[0]
    if network.assumptions.get("dialect", "").startswith(f"{dialect.name} "):
        try:
            return float(known)
        except ValueError:
            pass
    return 1.0 if dialect.name == _STEPS else dialect.dt


def _reading(network: Network, dialect: Dialect) -> dict[str, Any]:
    """The options of the reader that suit most populations of the network."""
    spiking = [n for n in network.of_type(RealNeuron) if n.threshold is not None]
    reading: dict[str, Any] = {"dialect": dialect.name, "dt": dialect.dt}
    choosable = _CHOOSABLE.get(dialect.name, ())
    subtracting = sum(n.reset == "subtract" for n in spiking)
    if "reset" in choosable and 2 * subtracting > len(spiking):
        reading["reset"] = "subtract"
    inclusive = sum(n.comparator == ">=" for n in spiking)
    if "threshold" in choosable and 2 * inclusive > len(spiking):
        reading["threshold"] = ">="
    return reading


def _graph(
    network: Network, dialect: Dialect, reading: dict[str, Any]
) -> tuple[RawFile, Any, tuple[str, ...]]:
    """The graph; where loops delay, if left to the reader; what to say about it.

    Loops keep their delay implicit if one of the two places the reader knows is the network's.
    """
    writer = GraphWriter(network, dialect, explicit_delays=False)
    raw = writer.file()
    if not writer.late:
        return raw, None, ()
    graph = clean(raw, Notes())
    cut = frozenset(graph.of_kind("Delay"))
    for place in (dialect.loop_delay, *({"before", "after"} - {dialect.loop_delay})):
        if delayed_edges(graph, cut, place, Notes()) == writer.late:
            return raw, place, ()
    raw = GraphWriter(network, dialect, explicit_delays=True).file()
    return raw, None, ("the delays of loops are Delay nodes, which few readers know",)


def _short(raw: RawFile) -> RawFile:
    """All real numbers in 32 bits."""

    def short(value: AnyArray | str) -> AnyArray | str:
        if isinstance(value, str) or value.dtype != np.float64:
            return value
        return value.astype(np.float32)

    nodes = {
        name: replace(node, fields={label: short(v) for label, v in node.fields.items()})
        for name, node in raw.nodes.items()
    }
    return replace(raw, nodes=nodes)


def _refuse(draft: _Draft, options: NirExportOptions) -> None:
    """Raise for what would be lost without leave."""
    unwanted = [d for d in draft.lost if d.field not in options.approximate]
    if not unwanted:
        return
    first = unwanted[0]
    others = len(unwanted) - 1
    leave = ", ".join(sorted({d.field for d in unwanted}))
    raise UnsupportedError(
        f"a NIR file for {draft.dialect.name} cannot say this"
        + (f", nor {others} more" if others else ""),
        where=f"{first.population}.{first.field}",
        found=first.has,
        allowed=f"{first.reads}, as the file would be read",
        remedy=f"choose another reader, or allow the difference: approximate {leave}",
    )
