"""A file of several phases: written, read, refused when damaged or put in another order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import nets
from support.files import rewrite
from support.phase_networks import tiny_machine

from snnc.compiler import phases
from snnc.compiler.map import MapOptions
from snnc.compiler.verify import verify_phased
from snnc.ir import artifact
from snnc.ir.errors import ArtifactError, UnsupportedError, VerificationError
from snnc.ir.phased import PhasedDeployment

Tables = dict[str, Any]


@pytest.fixture(scope="module")
def program() -> PhasedDeployment:
    target = tiny_machine(4, neurons=32, axons=400, bits=65536)
    machine = phases.Machine(target, 1, 6, options=MapOptions(effort="low"))
    network = nets.residual()
    return phases.finish(network, machine, phases.phase(network, machine), {"model": "r"}, {})


@pytest.fixture
def path(program: PhasedDeployment, tmp_path: Path) -> Path:
    result = tmp_path / "phases.snnc"
    artifact.write(program, result)
    return result


def changed(path: Path, edit: Callable[[Tables], object]) -> Path:
    """The file with other tables, and checksums that agree with them."""

    def apply(parts: dict[str, bytes]) -> None:
        tables = json.loads(parts["tables.json"])
        edit(tables)
        parts["tables.json"] = json.dumps(tables).encode()

    return rewrite(path, apply)


def test_reading_gives_back_what_was_written(path: Path, program: PhasedDeployment) -> None:
    found = artifact.read_program(path)
    assert isinstance(found, PhasedDeployment)
    assert found.members == program.members
    mine, theirs = artifact._members(found), artifact._members(program)
    assert list(mine) == list(theirs)
    assert all(np.array_equal(part, theirs[name]) for name, part in mine.items())
    for phase, before in zip(found.phases, program.phases, strict=True):
        assert [n.name for n in phase.network.nodes] == [n.name for n in before.network.nodes]
        assert np.array_equal(phase.cores.synapse_weight, before.cores.synapse_weight)
    verify_phased(found)


def test_equal_programs_give_equal_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.snnc"
    artifact.write(artifact.read_program(path), again)
    assert again.read_bytes() == path.read_bytes()


def test_those_who_know_no_phases_say_so(path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"several phases(?s:.)*--phases never"):
        artifact.read(path)


def test_the_version_keeps_older_readers_away(path: Path) -> None:
    manifest = artifact.read_report(path).manifest
    assert manifest["version"] == artifact.PHASED_VERSION > artifact.FORMAT_VERSION


def test_phases_in_another_order_are_refused(path: Path) -> None:
    changed(path, lambda tables: tables["phases"].reverse())
    with pytest.raises(ArtifactError, match=r"do not make up the network(?s:.)*only a later phase"):
        artifact.read_program(path)


def test_a_change_without_checksums_is_refused(path: Path) -> None:
    def reverse(parts: dict[str, bytes]) -> None:
        tables = json.loads(parts["tables.json"])
        tables["phases"].reverse()
        parts["tables.json"] = json.dumps(tables).encode()

    rewrite(path, reverse, checksums=False)
    with pytest.raises(ArtifactError, match="does not match its checksum"):
        artifact.read_program(path)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda t: t["phases"].pop(), "neurons that are in no phase"),
        (lambda t: t.pop("phases"), "missing or of the wrong type"),
        (lambda t: t.update(phases=[]), "in no phase"),
        (lambda t: t.update(phases=[7]), "not an object"),
        (lambda t: t["phases"][0].update(members=[{"$": "Add"}]), "malformed"),
        (lambda t: t["phases"][0].update(members=[]), "each once"),
        (lambda t: t["phases"][0]["members"][0].update(population=5), "wrong type"),
        (lambda t: t["phases"][0]["members"][0].update(population="nobody"), "not a population"),
        (lambda t: t["phases"][0]["members"][0].update(part=[0, 900]), "not a part"),
        (lambda t: t["phases"][0]["members"][0].update(part="all"), "two flat neurons"),
        (lambda t: t["phases"][0]["members"][0].update(part=[0, 1.5]), "two flat neurons"),
        (lambda t: t["phases"][1].pop("cores"), "missing or of the wrong type"),
        (lambda t: t["phases"][1]["schedule"].update(timesteps=9), "different steps"),
    ],
)
def test_tables_of_strangers_are_refused(
    path: Path, edit: Callable[[Tables], object], problem: str
) -> None:
    changed(path, edit)
    with pytest.raises(ArtifactError, match=problem):
        artifact.read_program(path)


def test_the_checker_sees_cores_of_another_phase(path: Path) -> None:
    def swap(tables: Tables) -> None:
        a, b = tables["phases"][:2]
        a["cores"], b["cores"] = b["cores"], a["cores"]

    changed(path, swap)
    found = artifact.read_program(path)
    assert isinstance(found, PhasedDeployment)
    with pytest.raises(VerificationError, match="breaks"):
        verify_phased(found)
