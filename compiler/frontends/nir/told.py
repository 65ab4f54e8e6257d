"""Files that our own exporter wrote say how they are to be read, in their metadata.

NIR forbids relying on metadata, and no other tool's are looked at: what is said here is what the
user would otherwise have to say, and an option that the user gives wins.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from snnc.compiler.frontends.nir.options import NirOptions
from snnc.compiler.frontends.nir.record import RawFile
from snnc.compiler.frontends.record import Notes
from snnc.ir.errors import ModelError, OptionError

PREFIX = "snnc_"
TOLD = ("dialect", "dt", "reset", "threshold", "loop_delay")


def completed(raw: RawFile, options: NirOptions, notes: Notes) -> NirOptions:
    """The options, with what the file says about its own reading where the user says nothing.

    Raises:
        ModelError: the file says something that is no option.
    """
    said = {name: raw.metadata[PREFIX + name] for name in TOLD if PREFIX + name in raw.metadata}
    if options.dialect != "auto" or "dialect" not in said:
        return options
    given = {name: getattr(options, name) for name in TOLD[1:]}
    try:
        values: dict[str, Any] = {**said, **({"dt": float(said["dt"])} if "dt" in said else {})}
        values |= {name: value for name, value in given.items() if value is not None}
        result = replace(options, **values)
    except (OptionError, ValueError) as error:
        raise ModelError(
            "the file's own account of how to read it is damaged",
            where=f"{raw.name}: metadata",
            found=", ".join(f"{name} = {value[:40]}" for name, value in said.items()),
            remedy="give --dialect and what else you know",
        ) from error
    notes.add("reading", "as snnc's exporter said in the file's metadata")
    return result
