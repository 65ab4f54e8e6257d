"""A command that dies by ``kill -9`` at a chosen moment, on every machine at the same one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

Moment = Literal["before", "after"]
"""The file is written under its temporary name only, or it has just got its own."""

_PROGRAM = """
import os, signal, sys
from pathlib import Path

file, moment, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rename = Path.replace

def replace(self, target):
    global left
    left -= target == file
    if moment == "before" and left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    done = rename(self, target)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

Path.replace = replace
from snnc.cli.shell import main
main(sys.argv[4:])
"""


def killed(words: tuple[object, ...], file: Path, moment: Moment, times: int) -> None:
    """Run ``snnc`` with these words until it has written a file so many times.

    Args:
        words: of the command.
        file: which it replaces again and again, as ``snnc.ir.atomic`` does.
        moment: of the last time.
        times: how often.
    """
    call = [sys.executable, "-c", _PROGRAM, str(file), moment, str(times), *map(str, words)]
    done = subprocess.run(call, stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL, done
