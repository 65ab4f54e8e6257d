"""What surrounds every command: errors on one screen, exit codes, nothing but JSON under --json.

Exit codes: 0 done; 1 ``check``, ``verify`` or ``compare`` says no; 2 something is wrong with model,
data, options or files; 70 a defect in snnc; 130 interrupted.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from snnc.cli.terminal import DEFECT, INTERRUPTED, WRONG, err, nobody_reads, refuse
from snnc.ir.errors import SnncError


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_run(words))


def _run(words: list[str]) -> int:
    as_json, debug = "--json" in words, "--debug" in words
    try:
        from snnc.cli.app import command

        code = command().main(words, prog_name="snnc", standalone_mode=False)
        sys.stdout.flush()
        return _interrupted() if code == INTERRUPTED else code if isinstance(code, int) else 0
    except SnncError as error:
        return refuse(error.as_dict(), as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:  # the reader, e.g. head, has seen enough
        nobody_reads()
        return 0
    except Exception as error:
        if _caused_by_ctrl_c(error):
            return _interrupted()
        if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
            return WRONG
        if hasattr(error, "format_message"):  # a ClickException, of Click or of Typer's own copy
            return refuse(_usage(error), as_json=as_json)
        return _defect(error, as_json, debug)


def _caused_by_ctrl_c(error: BaseException | None) -> bool:
    """Whether Ctrl-C became another error on its way: an extension module fails to load then."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _interrupted() -> int:
    err().print("interrupted")
    return INTERRUPTED


def _usage(error: Any) -> dict[str, str]:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "snnc"
    return {
        "error": "option",
        "problem": error.format_message(),
        "where": path,
        "found": "",
        "allowed": "",
        "remedy": f"{path} --help shows all options",
    }


def _defect(error: Exception, as_json: bool, debug: bool) -> int:
    """An unexpected exception is a defect in snnc: say so shortly; the details only on request."""
    where = f"{type(error).__name__}: {str(error)[:200]}"
    remedy = "please report it, with the command and the file written by --debug"
    if debug:
        with tempfile.NamedTemporaryFile(
            "w", prefix="snnc-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"{' '.join(sys.argv)}\n")
            traceback.print_exception(error, file=file)
        remedy = f"please report it, with the command and {file.name}"
    refuse(
        {"error": "internal", "problem": "internal error, a defect in snnc", "where": "",
         "found": where, "allowed": "", "remedy": remedy},
        as_json=as_json,
    )  # fmt: skip
    return DEFECT
