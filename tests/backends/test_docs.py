"""The example of docs/targets.md is a valid file."""

import re
from pathlib import Path

from snnc.backends.targets import check_target, load, names

DOC = Path(__file__).resolve().parents[2] / "docs" / "targets.md"


def test_the_example_file_loads_and_is_sound(tmp_path: Path) -> None:
    text = DOC.read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    path = tmp_path / "mychip.yaml"
    path.write_text(example[1], encoding="utf-8")
    assert check_target(load(path)) == []


def test_every_shipped_target_is_in_the_table() -> None:
    text = DOC.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in names())
