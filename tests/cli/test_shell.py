"""What surrounds the commands: closed pipes, terminals, files that must survive."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import DIGITS, Snnc, refused

SHOW_CURSOR = b"\x1b[?25h"


@pytest.mark.parametrize("extra", [(), ("--json",)])
@pytest.mark.parametrize(
    ("words", "code"), [(("targets",), 0), (("check", str(DIGITS), "--target", "truenorth"), 1)]
)
def test_a_reader_that_leaves_early_does_not_change_the_exit_code(
    words: tuple[str, ...], code: int, extra: tuple[str, ...]
) -> None:
    read, write = os.pipe()
    os.close(read)
    call = [sys.executable, "-m", "snnc", *words, *extra]
    done = subprocess.run(call, stdout=write, stderr=subprocess.PIPE, check=False, timeout=600)
    os.close(write)
    assert (done.returncode, done.stderr) == (code, b"")


def test_an_error_gives_the_terminal_its_cursor_back(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "snnc", "compile", str(DIGITS), "-o", str(tmp_path / "x.snnc")]
    master, slave = pty.openpty()
    done = subprocess.run(
        words, stdout=subprocess.DEVNULL, stderr=slave, check=False, timeout=600,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    seen = b""
    while SHOW_CURSOR not in seen:
        try:
            seen += os.read(master, 4096)
        except OSError:  # nothing more to read
            break
    os.close(master)
    assert done.returncode == 2  # no --timesteps
    assert SHOW_CURSOR in seen


def test_no_command_replaces_a_file_it_reads(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    for source, words in (
        (DIGITS, ("compile", DIGITS, "--timesteps", 4, "-o", link)),
        (data, ("compile", DIGITS, "--calibration", data, "-o", link)),
        (compiled, ("report", compiled, "--html", link)),
        (compiled, ("run", compiled, "--input", data, "--trace", link)),
        (data, ("run", compiled, "--input", data, "--trace", link)),
    ):
        before = source.read_bytes()
        link.unlink(missing_ok=True)
        link.symlink_to(source)
        refused(snnc(*words), "the output would replace an input file", str(source))
        assert source.read_bytes() == before
        assert link.is_symlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("verify", "--samples", 0), "--samples: must be at least 1"),
        (("verify", "--samples", -1), "--samples: must be at least 1"),
        (("verify", "--seed", -1), "--seed: must not be negative"),
    ],
)
def test_numbers_out_of_range_are_refused(
    snnc: Snnc, compiled: Path, words: tuple[object, ...], message: str
) -> None:
    command, *rest = words
    refused(snnc(command, compiled, *rest), message)


def test_the_demo_refuses_no_samples_before_it_starts(snnc: Snnc) -> None:
    refused(snnc("demo", "--samples", 0), "--samples: must be at least 1")
