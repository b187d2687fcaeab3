from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from vaekit.common.errors import DataError, UsageError
from vaekit.data.tables import MISSING, infer, read_frame

PEOPLE = pd.DataFrame({"name": ["Ada", "Alan", "Emmy"], "height": [1.65, np.nan, 1.5], "visits": [3, 0, 12]})


def written(folder: Path, text: str | bytes, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


COMMAS = "name,height,visits\nAda,1.65,3\nAlan,,0\nEmmy,1.5,12\n"
SEMICOLONS = "name;height;visits\nAda;1,65;3\nAlan;;0\nEmmy;1,5;12\n"


@pytest.mark.parametrize(
    "text",
    [
        COMMAS,
        COMMAS.replace(",", ";"),
        COMMAS.replace(",", "\t"),
        COMMAS.replace(",", "|"),
        COMMAS.replace(",", ", "),
        COMMAS.replace("\n", "\r\n"),
        COMMAS.replace("\nAlan", "\n\nAlan"),
        COMMAS.replace("Ada", '"Ada"'),
        SEMICOLONS,
        SEMICOLONS.replace(";", "\t"),
        "\ufeff" + COMMAS,
        "\ufeff" + SEMICOLONS,
        COMMAS.encode("utf-16"),
        gzip.compress(COMMAS.encode(), mtime=0),
    ],
)
def test_a_table_is_the_same_in_every_dialect(tmp_path: Path, text: str | bytes) -> None:
    assert_frame_equal(read_frame(written(tmp_path, text)), PEOPLE)


@pytest.mark.parametrize("missing", MISSING)
def test_each_word_for_what_is_missing_is_known(tmp_path: Path, missing: str) -> None:
    assert_frame_equal(read_frame(written(tmp_path, COMMAS.replace(",,", f",{missing},"))), PEOPLE)


def test_none_is_the_name_of_a_level_and_not_missing(tmp_path: Path) -> None:
    frame = read_frame(written(tmp_path, "veneer,x\nNone,1\nBrick,2\n"))
    assert frame["veneer"].tolist() == ["None", "Brick"]


def test_points_between_thousands_are_told_from_decimals(tmp_path: Path) -> None:
    frame = read_frame(written(tmp_path, "town;people;rent\nUlm;126.405;1.020,50\nBonn;336.465;980,25\n"))
    assert frame["people"].tolist() == [126_405, 336_465]
    assert frame["rent"].tolist() == [1020.5, 980.25]


def test_a_separator_within_quotes_and_a_line_break_are_part_of_the_cell(tmp_path: Path) -> None:
    frame = read_frame(written(tmp_path, 'name,x\n"Braund, Mr. Owen",1\n"two\nlines",2\n'))
    assert frame["name"].tolist() == ["Braund, Mr. Owen", "two\nlines"]


def test_codes_with_leading_zeros_stay_text(tmp_path: Path) -> None:
    frame = read_frame(written(tmp_path, "zip,x\n01234,0\n56789,0.5\n"))
    assert frame["zip"].tolist() == ["01234", "56789"]
    assert frame["x"].tolist() == [0, 0.5]


def test_a_table_of_one_column_is_read(tmp_path: Path) -> None:
    assert read_frame(written(tmp_path, "x\n1\n2\n"))["x"].tolist() == [1, 2]


def test_years_may_be_names_and_a_nameless_index_too(tmp_path: Path) -> None:
    assert list(read_frame(written(tmp_path, "country,2019,2020\nNL,1,2\nDE,3,4\n"))) == ["country", "2019", "2020"]
    indexed = read_frame(written(tmp_path, ",x\n0,0.5\n1,-0.5\n2,4.5\n"))
    assert infer(indexed)["Unnamed: 0"].kind == "identifier"


def test_names_can_be_given_to_a_file_without_any(tmp_path: Path) -> None:
    body = COMMAS.partition("\n")[2]
    assert_frame_equal(read_frame(written(tmp_path, body), names=["name", "height", "visits"]), PEOPLE)


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_parquet_and_feather_keep_every_type(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pyarrow")
    frame = PEOPLE.assign(
        size=pd.Categorical(["S", "L", None], categories=["S", "M", "L"], ordered=True),
        count=pd.array([1, None, 3], dtype="Int64"),
        when=pd.to_datetime(["1901-01-01", None, "2024-02-29"]),
    )
    path = tmp_path / f"people.{suffix}"
    getattr(frame, f"to_{suffix}")(path)
    assert_frame_equal(read_frame(path), frame)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty", "give a line of names"]),
        ("\n  \n", ["is empty"]),
        ("name,height\n", ["nothing else"]),
        (COMMAS + "Kurt,1.7\n", ["line 5 has 2 cells", "line 1 has 3"]),
        (COMMAS + "Kurt,1.7,3,4\n", ["line 5 has 4 cells", "line 1 has 3"]),
        (COMMAS.replace("Ada", '"A\nda"') + "Kurt\n", ["line 6 has 1 cell,"]),
        (COMMAS + '"Kurt,1.7,3\n', ["after line 4", "quote"]),
        ("name,x,name\na,1,b\n", ["columns 1 and 3", "'name'", "rename"]),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", ["line 1", "no names"]),
        ("39,State-gov,77516\n50,Private,83311\n", ["line 1", "no names"]),
        (gzip.compress(COMMAS.encode() * 100, mtime=0)[:-20], ["damaged gzip"]),
        (gzip.compress(COMMAS.encode() * 100, mtime=0)[:40] + b"\x00" * 50, ["damaged gzip"]),
        ("name,x\nAda,1\nJos\u00e9,2\n".encode("latin-1"), ["line 3", "UTF-8"]),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line(tmp_path: Path, text: str | bytes, words: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_frame(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    assert all(word in said for word in words), said


def test_damaged_parquet_and_a_missing_file_are_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match="cut short"):
        read_frame(written(tmp_path, b"PAR1 and no more", "people.parquet"))
    with pytest.raises(UsageError, match="no such file"):
        read_frame(tmp_path / "nobody.csv")
