"""Rule "pins": cores that hold a pinned population are where the options say."""

from __future__ import annotations

import re

import numpy as np

from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject, wide

_PLACE = re.compile(r"chip:(?P<chip>\d{1,9})|(?P<x>\d{1,9}),(?P<y>\d{1,9})(,(?P<slot>\d{1,9}))?")


def check_pins(subject: Subject, findings: Findings) -> None:
    """The provenance records the pins, as ``POPULATION@PLACE`` with ";" between them."""
    deployment = subject.deployment
    options = deployment.provenance.get("options")
    text = options.get("pin") if isinstance(options, dict) else None
    if text is None:
        return
    source, core_of = wide(deployment.cores.neuron_source), subject.neuron_core
    location = wide(deployment.cores.location)
    spans = {node.name: subject.span(node) for node in subject.populations}
    for pin in str(text).split(";"):
        name, _, place = pin.strip().rpartition("@")
        found = _PLACE.fullmatch(place)
        findings.count("pins", 1)
        if found is None or name not in spans:
            findings.add("pins", f"the recorded pin {pin[:80]!r}", "no population at a place")
            continue
        mine = (source >= spans[name].start) & (source < spans[name].stop)
        for core in np.unique(core_of[mine]):
            findings.count("pins", 1)
            if not _inside(subject, location[core], found):
                findings.add("pins", f"{name} in {subject.core_name(int(core))}", "not its place",
                             place)  # fmt: skip


def _inside(subject: Subject, location: np.ndarray, place: re.Match[str]) -> bool:
    x, y, slot = (int(v) for v in location)
    if place["chip"] is not None:
        mesh = subject.deployment.mesh
        columns = mesh.width // mesh.chip_width
        return y // mesh.chip_height * columns + x // mesh.chip_width == int(place["chip"])
    wanted = place["slot"]
    return (x, y) == (int(place["x"]), int(place["y"])) and (wanted is None or int(wanted) == slot)
