"""How much of the source is written twice: the measure itself, and what it says of vaekit."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def duplication() -> ModuleType:
    path = Path(__file__).parent.parent / "benchmarks" / "duplication.py"
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("duplication", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["duplication"] = module
    spec.loader.exec_module(module)
    return module


def body(names: str) -> str:
    return "".join(f"    {name} = {name}0 + 1  # {name}\n\n" for name in names)


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


HEAD = '"""Words."""\nimport math\n\n\ndef {}():\n    """Words."""\n'


def test_a_run_of_six_lines_in_two_files_is_found_and_nothing_else(duplication: ModuleType, tmp_path: Path) -> None:
    one, two = HEAD.format("f") + body("abcdef") + body("xy"), HEAD.format("g") + body("abcdef") + body("uv")
    found = duplication.Measured.of(written(tmp_path, one=one, two=two))
    assert (found.code_lines, found.repeated_lines) == (2 * 9, 2 * 6)
    assert found.repeated_percent == pytest.approx(100 * 12 / 18, abs=0.01)
    assert found.same_shape_percent == 100.0
    assert found.median_function == found.longest_function == 9


def test_five_lines_are_no_run(duplication: ModuleType, tmp_path: Path) -> None:
    one, two = HEAD.format("f") + body("abcde") + body("x"), HEAD.format("g") + body("abcde") + body("u")
    assert duplication.Measured.of(written(tmp_path, one=one, two=two)).repeated_lines == 0


def test_a_run_within_one_file_counts_but_not_one_that_overlaps_itself(duplication: ModuleType, tmp_path: Path) -> None:
    twice = HEAD.format("f") + body("abcdef") + HEAD.format("g") + body("abcdef")
    assert duplication.Measured.of(written(tmp_path, twice=twice)).repeated_lines == 12
    again = HEAD.format("f") + body("aaaaaaaaa") + HEAD.format("g") + body("z")
    assert duplication.Measured.of(written(tmp_path, twice=again)).repeated_lines == 0


def test_vaekit_says_things_once_and_briefly(duplication: ModuleType) -> None:
    found = duplication.Measured.of(duplication.OWN)
    assert found.repeated_percent < 5, found
    assert found.median_function <= 5, found
