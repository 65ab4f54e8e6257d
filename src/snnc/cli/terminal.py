"""What commands print, and the codes they end with: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

NO, WRONG, DEFECT, INTERRUPTED = 1, 2, 70, 130
ERROR_SCHEMA = "snnc-error/1"
_HARMLESS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")}, "�")


class _Terminal(Console):
    """A console whose text comes from files nobody vouches for: names in a model, say.

    Control characters in it could move the cursor or rewrite the screen; they are shown as "�".
    Its reader may leave early (``| head``) without changing the exit code.
    """

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            s if s.control else Segment(s.text.translate(_HARMLESS), s.style) for s in buffer
        )

    def on_broken_pipe(self) -> None:
        """Fall silent instead of raising."""
        self.quiet = True
        if not self.stderr:
            nobody_reads()


def nobody_reads() -> None:
    """Let what is still written to stdout go nowhere: its reader has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def out() -> Console:
    """Results, on stdout."""
    return _Terminal()


def err() -> Console:
    """Progress and errors, on stderr."""
    return _Terminal(stderr=True)


def print_json(value: Mapping[str, Any]) -> None:
    """Write one JSON object, and nothing else, to stdout."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        nobody_reads()


class _Result(Protocol):
    def as_dict(self) -> Mapping[str, Any]: ...


R = TypeVar("R", bound=_Result)


def present(result: R, show: Callable[[Console, R], None], *, as_json: bool) -> None:
    """Write a result to stdout: as one JSON object, or for people."""
    if as_json:
        print_json(result.as_dict())
    else:
        show(out(), result)


def refuse(error: Mapping[str, str], *, as_json: bool) -> int:
    """Print an error; exit code 2."""
    if as_json:
        print_json({"schema": ERROR_SCHEMA, **error})
        return WRONG
    text = Text()
    text.append("error: ", style="bold red")
    if error["where"]:
        text.append(f"{error['where']}: ", style="bold")
    text.append(error["problem"])
    for label, key in (("found", "found"), ("allowed", "allowed"), ("what to do", "remedy")):
        if error[key]:
            text.append(f"\n  {label + ':':<12}", style="cyan")
            text.append(error[key])
    err().print(text, soft_wrap=True)
    return WRONG
