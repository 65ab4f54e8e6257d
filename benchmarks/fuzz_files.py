"""Mutated model files, artifacts and data: each must be read, or refused by a typed error.

    python benchmarks/fuzz_files.py --cases 5000 [--seeds FOLDER] [--formats nir,snnc]

Seeds are small files made here, and every file of a known kind in the given folders.  Mutations
damage bytes, or, for HDF5 and zip files, values and members behind their checksums.  A child
process reads the files; one that takes more than --seconds of processor time, grows by more than
--megabytes, sleeps, dies or raises anything but a typed error is a finding: it is kept in --keep,
and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import re
import resource
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnc.ir.errors import SnncError

ROOT = Path(__file__).resolve().parents[1]
Random = np.random.Generator
Reader = Callable[[Path], Any]


def _nir(path: Path) -> Any:
    from snnc.compiler.frontends import nir

    return nir.read(path)


def _netx(path: Path) -> Any:
    from snnc.compiler.frontends import netx

    return netx.read(path)


def _onnx(path: Path) -> Any:
    from snnc.compiler.frontends import onnx

    return onnx.read(path)


def _artifact(path: Path) -> Any:
    from snnc.ir import artifact

    return artifact.read(path)


def _data(path: Path) -> Any:
    from snnc.inputs.npz import npz_keys, read_npz

    return read_npz(path, npz_keys(path))


SILENCE_S = 300.0
"""Longest time without a sign of life: of a case that sleeps, or of a very busy machine."""
READERS: dict[str, Reader] = {
    "nir": _nir, "net": _netx, "onnx": _onnx, "snnc": _artifact, "npz": _data
}  # fmt: skip


@dataclass
class Findings:
    """What became of all cases of one format.

    Attributes:
        outcomes: "read", or the class of the refusal, by number of cases.
        failures: number and description of cases that ended in neither.
        slowest: processor seconds of the slowest case.
        megabytes: growth of the reader's memory over all cases.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)
    slowest: float = 0.0
    megabytes: float = 0.0


# -- mutations ------------------------------------------------------------------------------------


def damaged(data: bytes, random: Random) -> bytes:
    """Some bytes changed, lost, repeated or moved."""
    raw = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        size = max(1, len(raw))
        at, count = int(random.integers(size)), int(2 ** random.integers(0, 10))
        kind = random.integers(6)
        if kind == 0:
            for place in random.integers(0, size, int(random.integers(1, 12))):
                raw[place : place + 1] = bytes([int(random.integers(256))])
        elif kind == 1:
            raw[at : at + count] = bytes(count)
        elif kind == 2:
            raw[at : at + count] = b"\xff" * count
        elif kind == 3:
            del raw[at : at + count]
        elif kind == 4:
            raw[at:at] = raw[int(random.integers(size)) :][:count]
        else:
            raw[at : at + 8] = int(random.integers(0, 2**62)).to_bytes(8, "little")
    return bytes(raw if random.random() < 0.9 else raw[: int(random.integers(len(raw) + 1))])


_NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 2**31, -(2**63), 1e308, -1e-300, float("nan"), float("inf"), 0.5, True,
)  # fmt: skip
_TEXTS = (
    "",
    "LIF",
    "NIRGraph",
    "Input",
    "Output",
    "Conv2d",
    "same",
    "\0",
    "n0",
    "../../x",
    "ü" * 400,
)


def _odd(random: Random) -> Any:
    """A value nobody expects."""
    kind = random.integers(6)
    if kind == 0:
        return _TEXTS[random.integers(len(_TEXTS))]
    number = _NUMBERS[random.integers(len(_NUMBERS))]
    if kind == 1:
        return number
    shape = tuple(int(n) for n in random.integers(0, 4, int(random.integers(0, 5))))
    dtype = ("f4", "f8", "i8", "u1", "c8", "S3")[random.integers(6)]
    return np.zeros(shape, dtype) if kind < 4 else np.full(shape, float(number))


def damaged_hdf5(data: bytes, random: Random) -> bytes:
    """Values, types, names and members of an intact HDF5 file changed."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as root:
        names: list[str] = []
        root.visit(names.append)
        for _ in range(int(random.integers(1, 4))):
            name = names[random.integers(len(names))]
            if name in root:
                _change(root, name, names, random)
    return buffer.getvalue()


def _change(root: Any, name: str, names: list[str], random: Random) -> None:
    kind, member = random.integers(6), root[name]
    if kind == 0:
        del root[name]
    elif kind == 1:
        root.move(name, f"{name}_{random.integers(9)}")
    elif kind == 2:
        other = names[random.integers(len(names))]
        if other in root and name != other and not other.startswith(name):
            del root[other]
            root[other] = root[name]
    elif isinstance(member, h5py.Dataset):
        value = member[()]
        numeric = isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and value.size
        if numeric and kind < 5:
            place = tuple(int(random.integers(n)) for n in value.shape)
            changed = value.astype(np.float64)
            changed[place] = float(_NUMBERS[random.integers(len(_NUMBERS))])
            value = changed if random.random() < 0.7 else changed.reshape(-1)[: changed.size // 2]
        elif isinstance(value, np.ndarray) and value.size and kind < 5:
            value = value[random.permutation(len(value))[: int(random.integers(len(value) + 1))]]
        else:
            value = _odd(random)
        del root[name]
        root[name] = value
    else:
        root.create_dataset(f"{name}/extra", data=_odd(random))


def damaged_zip(data: bytes, random: Random) -> bytes:
    """Members of an intact zip changed behind their checksums, lost, renamed or doubled."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    names = sorted(members)
    name = names[random.integers(len(names))]
    kind = random.integers(8)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[("../" if random.random() < 0.5 else "x/") + name] = members.pop(name)
    elif name.endswith(".json") and kind < 6:
        members[name] = _damaged_text(members[name], random)
    else:
        members[name] = damaged(members[name], random)
    if random.random() < 0.8:
        _sign(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            # A dated entry would make equal cases differ by the clock.
            info = zipfile.ZipInfo(member)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


def _sign(members: dict[str, bytes]) -> None:
    """Make the manifest of an artifact agree with its members, so that the damage gets further."""
    try:
        manifest = json.loads(members["manifest.json"])
        manifest["members"] = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in members.items()
            if name != "manifest.json"
        }
    except (KeyError, ValueError, TypeError):
        return
    members["manifest.json"] = json.dumps(manifest).encode()


_WORDS = (b"-1", b"0", b"1e999", b"9" * 20, b"null", b'""', b"[]", b"{}", b"[[[[1]]]]")


def _damaged_text(data: bytes, random: Random) -> bytes:
    """A word of a JSON text replaced by another or by something odd."""
    words = list(re.finditer(rb'"[^"]*"|-?\d+(\.\d+)?|true|false|null', data))
    if not words:
        return damaged(data, random)
    old, other = (words[random.integers(len(words))] for _ in range(2))
    odd = (
        b"-1",
        b"0",
        b"1e999",
        b"99999999999999999999",
        b"null",
        b'""',
        b"[]",
        b"{}",
        b"[[[[1]]]]",
    )
    new = other.group() if random.random() < 0.5 else odd[random.integers(len(odd))]
    return data[: old.start()] + new + data[old.end() :]


def mutated(kind: str, data: bytes, random: Random) -> bytes:
    """One mutation of a file of this kind."""
    if random.random() < 0.6:
        if kind in ("nir", "net"):
            return damaged_hdf5(data, random)
        if kind in ("snnc", "npz"):
            return damaged_zip(data, random)
    return damaged(data, random)


# -- running --------------------------------------------------------------------------------------


def case(kind: str, seeds: list[bytes], number: int, seed: int) -> bytes:
    """The file of one case; equal arguments give equal bytes."""
    random = np.random.default_rng((seed, number))
    data = seeds[random.integers(len(seeds))]
    try:
        return mutated(kind, data, random)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return damaged(data, random)  # HDF5 itself refuses to write this nonsense


def _worker(
    kind: str, seeds: list[bytes], numbers: range, seed: int, seconds: float, pipe: Any
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"case.{kind}"
        for data in seeds[:1]:  # imports, and what stays in memory for good
            path.write_bytes(data)
            READERS[kind](path)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in numbers:
            path.write_bytes(case(kind, seeds, number, seed))
            pipe.send(("start", number, 0.0, 0.0))
            started = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, seconds)  # beyond, SIGPROF ends the process
            try:
                READERS[kind](path)
                outcome = "read"
            except SnncError as error:
                outcome = type(error).__name__
            except MemoryError:
                outcome = "!MemoryError"
            except Exception as error:  # every other exception is what we look for
                outcome = f"!{type(error).__name__}: {str(error)[:200]}"
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
            pipe.send((outcome, number, time.process_time() - started, grown))
    pipe.send(("end", 0, 0.0, 0.0))


def fuzz(
    kind: str,
    seeds: list[bytes],
    cases: int,
    seed: int,
    seconds: float,
    megabytes: float,
    silence_s: float = SILENCE_S,
) -> Findings:
    """Read that many mutated files in a child process that is replaced when it hangs or dies.

    Args:
        kind: of the files.
        seeds: intact files.
        cases: number of mutations.
        seed: of the mutations.
        seconds: processor time of a case that counts as a hang.
        megabytes: growth of memory that counts as a defect.
        silence_s: time of a case on the wall clock that counts as a hang.
    """
    found, first = Findings(), 0
    context = multiprocessing.get_context("fork" if "fork" in _methods() else "spawn")
    while first < cases:
        mine, theirs = context.Pipe(duplex=False)
        numbers = range(first, cases)
        process = context.Process(
            target=_worker, args=(kind, seeds, numbers, seed, seconds, theirs)
        )
        process.start()
        theirs.close()
        first = _watch(mine, process, found, (seconds, silence_s, megabytes), cases)
        process.kill()
        process.join()
    return found


def _methods() -> list[str]:
    return multiprocessing.get_all_start_methods()


def _watch(
    pipe: Any, process: Any, found: Findings, limits: tuple[float, float, float], cases: int
) -> int:
    """Follow one child; the number of the case to go on with."""
    seconds, silence_s, megabytes = limits
    current, go_on = -1, cases  # a child that ends before its first case would end again
    while True:
        try:
            if not pipe.poll(silence_s if current >= 0 else SILENCE_S):
                found.failures.append((current, f"silent for longer than {silence_s} s"))
                return go_on
            outcome, number, took, grown = pipe.recv()
        except EOFError:
            process.join()
            longer = process.exitcode == -signal.SIGPROF
            died = f"the reader died, exit code {process.exitcode}"
            text = f"longer than {seconds} s of processor time" if longer else died
            found.failures.append((current, text))
            return go_on
        if outcome == "end":
            return cases
        current, go_on = number, number + 1
        if outcome == "start":
            continue
        found.slowest = max(found.slowest, took)
        found.megabytes = max(found.megabytes, grown)
        found.outcomes[outcome.lstrip("!").split(":")[0]] += 1
        if outcome.startswith("!"):
            found.failures.append((number, outcome[1:]))
        if grown > megabytes:
            found.failures.append((number, f"memory grew by {grown:.0f} MB"))
            return number + 1


# -- seeds ----------------------------------------------------------------------------------------


def seeds_of(folders: list[Path], formats: list[str]) -> dict[str, list[bytes]]:
    """Small files of every kind: made here, and those of the folders up to 1 MB."""
    found: dict[str, list[bytes]] = {kind: [] for kind in formats}
    with tempfile.TemporaryDirectory() as folder:
        for path in _made(Path(folder)):
            if path.suffix[1:] in found:
                found[path.suffix[1:]].append(path.read_bytes())
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            kind = path.suffix[1:].lower()
            if kind in found and path.stat().st_size < 1 << 20 and _readable(kind, path):
                found[kind].append(path.read_bytes())
    return {kind: files for kind, files in found.items() if files}


def _readable(kind: str, path: Path) -> bool:
    try:
        READERS[kind](path)
    except SnncError:
        return False
    return True


def _made(folder: Path) -> Iterator[Path]:
    """One file of each kind that needs nothing but this repository."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support import netx_files, nir_files
    from support.mapped import small_deployment

    from snnc.ir import artifact

    nodes = {
        "input": nir_files.node("Input", shape=np.array([1, 6, 6])),
        "conv": nir_files.conv2d(np.ones((2, 1, 3, 3)), input_shape=np.array([6, 6])),
        "lif": nir_files.lif((2, 4, 4)),
        "pool": nir_files.node("SumPool2d", kernel_size=2, stride=2, padding=0),
        "flat": nir_files.node("Flatten", start_dim=0, end_dim=-1),
        "fc": nir_files.affine(np.eye(4, 8), np.zeros(4)),
        "rec": nir_files.lif((4,)),
        "w": nir_files.affine(np.eye(4) / 2, np.ones(4) / 8),
        "output": nir_files.node("Output", shape=np.array([4])),
    }
    edges = [("input", "conv"), ("conv", "lif"), ("lif", "pool"), ("pool", "flat"), ("flat", "fc"),
             ("fc", "rec"), ("rec", "w"), ("w", "rec"), ("rec", "output")]  # fmt: skip
    yield nir_files.write(folder / "a.nir", nodes, edges)
    neuron, changes = netx_files.cuba(), netx_files.sdnn()
    yield netx_files.write(
        folder / "s.net", netx_files.input_layer((4,), neuron=changes),
        netx_files.dense(np.arange(12).reshape(3, 4), changes, bias=np.ones(3)),
        netx_files.dense(np.ones((2, 3), int), netx_files.sdnn(sigma_output=True)),
    )  # fmt: skip
    yield netx_files.write(
        folder / "l.net", netx_files.dense(np.ones((2, 3), int), netx_files.alif(), bias=np.ones(2))
    )
    yield netx_files.write(
        folder / "a.net", netx_files.input_layer((4,)),
        netx_files.dense(np.arange(12).reshape(3, 4), neuron),
        netx_files.dense(np.ones((2, 3), int), neuron),
    )  # fmt: skip
    artifact.write(small_deployment(), folder / "a.snnc")
    yield folder / "a.snnc"
    np.savez_compressed(folder / "a.npz", x=np.ones((2, 5, 3)), y=np.arange(2))
    yield folder / "a.npz"
    yield from _made_onnx(folder)


def _made_onnx(folder: Path) -> Iterator[Path]:
    """A spiking step in ONNX, where the package is installed."""
    from support.real_nets import dense_net

    import snnc

    try:
        snnc.export_onnx(dense_net(np.eye(3), decay=0.5), folder / "a.onnx")
    except SnncError:
        return
    yield folder / "a.onnx"


def main() -> int:
    """Run, print a table, and keep what fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--cases", type=int, default=2000, help="per format")
    parser.add_argument("--formats", default=",".join(READERS))
    parser.add_argument("--seeds", type=Path, action="append", default=[], help="folder of files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10.0, help="processor time of one case")
    parser.add_argument("--megabytes", type=float, default=500.0, help="largest growth of memory")
    parser.add_argument("--keep", type=Path, help="folder for the files of failures")
    options = parser.parse_args()
    failures = 0
    for kind, seeds in seeds_of(options.seeds, options.formats.split(",")).items():
        started = time.perf_counter()
        found = fuzz(kind, seeds, options.cases, options.seed, options.seconds, options.megabytes)
        failures += len(found.failures)
        print(f"{kind}: {options.cases} cases of {len(seeds)} files in "
              f"{time.perf_counter() - started:.0f} s, slowest {found.slowest:.2f} s, memory "
              f"+{found.megabytes:.0f} MB, {len(found.failures)} failures")  # fmt: skip
        for outcome, count in found.outcomes.most_common():
            print(f"    {count:6} {outcome}")
        for number, text in found.failures:
            print(f"    case {number}: {text}")
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                data = case(kind, seeds, number, options.seed)
                (options.keep / f"{kind}_{number}.{kind}").write_bytes(data)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
