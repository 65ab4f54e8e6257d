"""Reading target files: YAML to ``Target``, with every problem of a file in one error."""

from __future__ import annotations

import difflib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from snnc.backends.targets.audit import audit
from snnc.ir.errors import TargetError
from snnc.ir.target import Target

MAX_BYTES = 256 * 1024
MAX_PROBLEMS = 20
_PACKAGE = "snnc.backends.targets"
_OWN = ("id", "name", "summary", "aliases")
"""What a description does not take over from the one it extends."""


def names() -> tuple[str, ...]:
    """Names of the shipped targets."""
    folder = files(_PACKAGE).iterdir()
    return tuple(sorted(f.name[:-5] for f in folder if f.name.endswith(".yaml")))


def load(name_or_path: str | Path) -> Target:
    """Read a shipped target by name or alias, or any target file by path.

    A string is taken as a path when it ends in ``.yaml``/``.yml`` or contains a slash.

    Raises:
        TargetError: no such target (with suggestions), an unreadable file, or an invalid
            description; all problems of the file are listed.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith((".yaml", ".yml")):
        return _parse(_read(Path(name_or_path)), text)
    return _shipped(_resolve(text))


@lru_cache(maxsize=64)
def _shipped(name: str) -> Target:
    content = files(_PACKAGE).joinpath(f"{name}.yaml").read_bytes()
    return _parse(content, f"{name}.yaml")


def _resolve(name: str) -> str:
    """Shipped name for a name or alias in any case."""
    wanted = name.strip().lower()
    known = names()
    if wanted in known:
        return wanted
    aliases = {alias.lower(): key for key in known for alias in _shipped(key).aliases}
    if wanted in aliases:
        return aliases[wanted]
    close = difflib.get_close_matches(wanted, [*known, *aliases], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise TargetError(
        "unknown target",
        where="--target",
        found=name,
        allowed=", ".join(known),
        remedy=f"{hint}`snnc targets` lists all; a path to a .yaml file also works",
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise TargetError(
                "the target file is too large",
                where=str(path),
                found=f"more than {MAX_BYTES} bytes",
                allowed=f"{MAX_BYTES} bytes",
            )
        return content
    except OSError as error:
        raise TargetError(
            "the target file cannot be read",
            where=str(path),
            found=error.strerror or type(error).__name__,
            allowed=f"a target file, or one of {', '.join(names())}",
        ) from error


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases (exponential bombs) and without duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "aliases are not allowed in target files", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parse(content: bytes, where: str) -> Target:
    data = _extended(_document(content, where), where)
    problems = audit(data)
    target = None
    try:
        target = Target.model_validate(data)
    except ValidationError as error:
        problems += [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    if target is None or problems:
        raise _invalid(where, problems)
    return target


def _document(content: bytes, where: str) -> dict[str, Any]:
    try:
        # The loader class is a SafeLoader: it builds plain values only.
        data = yaml.load(content.decode("utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise TargetError("the target file is not valid YAML", where=where, found=reason) from error
    if not isinstance(data, dict):
        raise TargetError(
            "a target file is a mapping",
            where=where,
            found=type(data).__name__,
            allowed="schema: snnc-target/1 and the fields of docs/targets.md",
        )
    return data


def _extended(data: dict[str, Any], where: str) -> dict[str, Any]:
    """The description that a file with ``extends`` stands for: a shipped one and its changes.

    Mappings are merged key by key, everything else is replaced.  What the file is called it says
    itself.
    """
    if "extends" not in data:
        return data
    base = data["extends"]
    if not isinstance(base, str) or base not in names() or f"{base}.yaml" == where:
        raise TargetError(
            "only a shipped description can be extended",
            where=f"{where}: extends",
            found=str(base)[:80],
            allowed=", ".join(names()),
        )
    shipped = _document(files(_PACKAGE).joinpath(f"{base}.yaml").read_bytes(), f"{base}.yaml")
    if "extends" in shipped:
        raise TargetError(
            "a description that extends another one cannot be extended itself",
            where=f"{where}: extends",
            found=base,
            remedy=f"extend {shipped['extends']} and repeat the changes of {base}",
        )
    kept = {key: value for key, value in shipped.items() if key not in _OWN}
    return _merged(kept, {key: value for key, value in data.items() if key != "extends"})


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            value = _merged(before, value)
        result[key] = value
    return result


def _invalid(where: str, problems: list[str]) -> TargetError:
    shown = problems[:MAX_PROBLEMS]
    if len(problems) > MAX_PROBLEMS:
        shown.append(f"and {len(problems) - MAX_PROBLEMS} more")
    return TargetError(
        f"the target description has {len(problems)} problem(s)",
        where=where,
        found="\n    ".join(["", *shown]),
        remedy="see docs/targets.md for the fields and evidence classes",
    )
