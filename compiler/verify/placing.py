"""Rules "placement" and "location": every neuron once, every core on a legal place of its own."""

from __future__ import annotations

import numpy as np

from snnc.compiler.verify.report import Findings, Violation
from snnc.compiler.verify.subject import Subject, wide


def check_placement(subject: Subject, findings: Findings) -> None:
    """Every neuron of the network sits on exactly one core, and nothing else does."""
    placed = np.bincount(
        wide(subject.deployment.cores.neuron_source), minlength=subject.sources.total
    )
    wanted = subject.is_neuron.astype(np.int64)
    findings.count("placement", int(wanted.sum()))
    wrong = np.flatnonzero(placed != wanted)
    findings.many(
        "placement",
        wrong.size,
        (
            Violation(
                "placement",
                subject.name(int(source)),
                f"on {placed[source]} core slots",
                f"{wanted[source]}",
            )
            for source in wrong[:50]
        ),
    )


def check_location(subject: Subject, findings: Findings) -> None:
    """Cores lie on the mesh, on distinct working slots, no more per chip than usable."""
    deployment, mesh = subject.deployment, subject.deployment.mesh
    topology = deployment.target.topology
    location = wide(deployment.cores.location)
    findings.count("location", len(location))
    size = np.array([mesh.width, mesh.height, mesh.cores_per_router])
    outside = ((location < 0) | (location >= size)).any(axis=1)
    for core in np.flatnonzero(outside)[:50]:
        allowed = f"below ({mesh.width}, {mesh.height}, {mesh.cores_per_router})"
        findings.add("location", subject.core_name(int(core)), "outside the machine", allowed)
    _, first, times = np.unique(location, axis=0, return_index=True, return_counts=True)
    for entry in np.flatnonzero(times > 1)[:50]:
        where = subject.core_name(int(first[entry]))
        findings.add("location", where, f"{times[entry]} cores on this place", "1")
    inside = location[~outside]
    on_chip = inside % np.array([mesh.chip_width, mesh.chip_height, mesh.cores_per_router])
    for defect in topology.defects:
        for core in np.flatnonzero((on_chip == defect).all(axis=1))[:50]:
            x, y, slot = inside[core]
            findings.add("location", f"core at ({x}, {y}, {slot})", "a defective core")
    chip = (inside[:, 1] // mesh.chip_height) * (mesh.width // mesh.chip_width)
    chip += inside[:, 0] // mesh.chip_width
    used = np.bincount(chip, minlength=1)
    for number in np.flatnonzero(used > topology.usable_cores):
        allowed = f"{topology.usable_cores} usable cores per chip"
        findings.add("location", f"chip {number}", f"{used[number]} cores used", allowed)
