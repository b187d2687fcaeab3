"""Tables at the command line: their schema, every use of a model of one, and what is said of those that are wrong."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vaekit.cli.app import app
from vaekit.cli.launch import launch
from vaekit.cli.rows import kept_back, opened, rows_learnt_from
from vaekit.data.tables import Schema, read_frame
from vaekit.model import FittedVAE
from vaekit.uses.scores import Reference

HASTE = ["--quiet", "--device", "cpu"]


def people(n: int = 160, seed: int = 0) -> pd.DataFrame:
    """A table of every kind of column, with holes, in which height goes with sex."""
    draw = np.random.default_rng(seed)
    sex, born = draw.choice(["female", "male"], n), pd.Timestamp("1948-05-01")
    frame = pd.DataFrame(
        {
            "id": [f"p{row:03}" for row in range(n)],
            "sex": sex,
            "height": (np.where(sex == "male", 1.8, 1.6) + draw.normal(0, 0.03, n)).round(2),
            "kids": draw.poisson(1.2, n),
            "town": draw.choice(["Ulm", "Bonn", "Trier"], n, p=[0.6, 0.3, 0.1]),
            "born": [str((born + pd.Timedelta(days=int(days))).date()) for days in draw.integers(0, 20_000, n)],
            "planet": "Earth",
        }
    )
    for name in ("sex", "height", "town"):
        frame[name] = frame[name].astype(object).where(draw.random(n) > 0.1, None)
    return frame


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "people.csv"
    people().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, which knows that height goes with sex."""
    out = tmp_path_factory.mktemp("runs") / "run"
    learning = ["--epochs", "100", "--learning-rate", "0.01", "--patience", "100", "--samples", "5"]
    assert launch(app, ["fit", str(table), "--out", str(out), *learning, *HASTE]) == 0
    return out


def model(run: Path) -> FittedVAE:
    return opened(run, "cpu")


def done(*words: object) -> None:
    device = [] if words[0] == "schema" else ["--device", "cpu"]
    assert launch(app, [*map(str, words), "--quiet", *device]) == 0


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_schema_is_shown_saved_and_given_back(
    table: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done("schema", table, "--json")
    shown = json.loads(capsys.readouterr().out)
    assert {each["name"]: each["kind"] for each in shown["columns"]} == {
        "id": "identifier",
        "sex": "binary",
        "height": "numeric",
        "kids": "count",
        "town": "categorical",
        "born": "datetime",
        "planet": "constant",
    }
    done("schema", table, "-o", tmp_path / "s.toml")
    text = (tmp_path / "s.toml").read_text()
    assert text == (run / "schema.toml").read_text()
    (tmp_path / "s.toml").write_text(text.replace('kind = "count"', 'kind = "numeric"'))
    done("fit", table, "--schema", tmp_path / "s.toml", "--out", tmp_path / "o", "--epochs", "1", "--samples", "2")
    assert Schema.from_toml((tmp_path / "o" / "schema.toml").read_text())["kids"].kind == "numeric"
    again = tmp_path / "again"
    done("fit", "--config", tmp_path / "o" / "config.toml", "--out", again, "--epochs", "1")
    assert model(again).about.schema["kids"].kind == "numeric"  # type: ignore[index]


def test_completing_a_table_keeps_every_cell_that_was_there(run: Path, table: Path, tmp_path: Path) -> None:
    before = read_frame(table)
    for ending in (".csv", ".tsv", ".parquet", ".feather"):
        done("complete", run, "-o", tmp_path / f"c{ending}", "--samples", "20")
        after = read_frame(tmp_path / f"c{ending}")
        assert list(after) == list(before)
        assert not after.isna().any().any()
        known = before.notna()
        assert (after.where(known) == before.where(known))[known].where(known, True).all().all()
        pd.testing.assert_series_equal(after["id"], before["id"], check_dtype=False)
    done("complete", run, "-o", tmp_path / "c.npy", "--samples", "20")
    schema = model(run).about.schema
    assert schema is not None
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), schema.encode(after).numpy())


def test_a_completion_is_the_models(run: Path, table: Path, tmp_path: Path) -> None:
    done("complete", run, table, "-o", tmp_path / "c.csv", "--samples", "30", "--by", "median", "--seed", "3")
    right = model(run).complete(read_frame(table), 30, by="median", seed=3)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "c.csv"), right.astype(read_frame(table).dtypes))


def test_copies_stand_below_each_other_and_differ_in_holes_alone(run: Path, table: Path, tmp_path: Path) -> None:
    done("complete", run, "-o", tmp_path / "d.csv", "--draws", "3", "--samples", "40")
    found, before = read_frame(tmp_path / "d.csv"), read_frame(table)
    assert found["draw"].tolist() == [draw for draw in (1, 2, 3) for _ in range(len(before))]
    assert found["row"].tolist() == 3 * list(range(len(before)))
    heights = found.pivot(index="row", columns="draw", values="height")
    spread = heights.std(axis=1).to_numpy()
    missing = before["height"].isna().to_numpy()
    assert (spread[~missing] < 1e-12).all()
    assert (spread[missing] > 1e-3).mean() > 0.8
    done("complete", run, "-o", tmp_path / "d.npy", "--draws", "3", "--samples", "40")
    assert np.load(tmp_path / "d.npy").shape == (3, len(before), 5)


def test_samples_have_the_tables_columns_and_what_is_given(run: Path, table: Path, tmp_path: Path) -> None:
    done("sample", run, "-n", 300, "-o", tmp_path / "s.csv")
    made, real = read_frame(tmp_path / "s.csv"), read_frame(table)
    assert list(made) == [name for name in real if name != "id"]
    assert set(made["town"]) <= set(real["town"].dropna())
    given = ["--given", "sex=male", "--given", "kids=2"]
    done("sample", run, "-n", 300, "-o", tmp_path / "g.parquet", *given)
    asked = pd.read_parquet(tmp_path / "g.parquet")
    assert (asked["sex"] == "male").all()
    assert (asked["kids"] == 2).all()
    error = 0.1 * np.sqrt(2 / 300)
    assert asked["height"].mean() > made["height"].mean() + 5 * error


def test_other_uses_write_tables_too(run: Path, table: Path, tmp_path: Path) -> None:
    done("reconstruct", run, table, "-o", tmp_path / "r.csv", "--rows", "7")
    again = read_frame(tmp_path / "r.csv")
    assert again["id"].tolist() == [f"p{row:03}" for row in range(7)]
    done("interpolate", run, "-o", tmp_path / "w.csv", "--pairs", "2", "--steps", "4")
    ways = read_frame(tmp_path / "w.csv")
    assert ways["way"].tolist() == [0] * 4 + [1] * 4
    assert ways["step"].tolist() == [0, 1, 2, 3] * 2
    done("traverse", run, "-o", tmp_path / "t.csv", "--coordinates", "1,0", "--steps", "5", "--reach", "2")
    along = read_frame(tmp_path / "t.csv")
    assert along["coordinate"].tolist() == [1] * 5 + [0] * 5
    assert along["at"].tolist() == 2 * [-2.0, -1.0, 0.0, 1.0, 2.0]
    middle = along[along["at"] == 0].drop(columns=["coordinate", "at"])
    assert middle.drop_duplicates().shape[0] == 1
    done("encode", run, table, "-o", tmp_path / "z.npy")
    np.testing.assert_allclose(np.load(tmp_path / "z.npy"), model(run).encode(read_frame(table)).numpy(), atol=1e-6)


def test_scores_have_their_shares_and_p_values(run: Path, table: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    people(50, seed=9).to_csv(new, index=False)
    done("score", run, new, "-o", tmp_path / "s.csv", "--samples", "6", "--shares")
    found, fitted = read_frame(tmp_path / "s.csv"), model(run)
    assert list(found)[:7] == list(read_frame(new))
    shares = found[[name for name in found if name.startswith("share_")]]
    assert list(shares)[:2] == ["share_sex", "share_height"]
    np.testing.assert_allclose(shares.sum(axis=1), found["score"], rtol=1e-4)
    np.testing.assert_allclose(-found["score"], fitted.score_samples(read_frame(new), 6).numpy(), rtol=1e-6)
    held_out = kept_back(run, fitted)
    assert held_out is not None
    reference = Reference(fitted.score(held_out.given, samples=6))
    right = reference.p_values(fitted.score(read_frame(new), samples=6))
    np.testing.assert_allclose(found["p_value"], right.numpy())
    done("score", run, "-o", tmp_path / "own.csv", "--samples", "2")
    own = read_frame(tmp_path / "own.csv")
    assert len(own) == len(held_out)
    assert "p_value" not in own


def test_a_score_that_learns_is_shown_the_training_rows(run: Path, table: Path, tmp_path: Path) -> None:
    done("score", run, table, "-o", tmp_path / "m.csv", "--by", "mahalanobis", "--samples", "4")
    fitted = model(run)
    known = rows_learnt_from(run, None, fitted)
    assert set(known.frame["id"]).isdisjoint(kept_back(run, fitted).frame["id"])  # type: ignore[union-attr]
    right = fitted.score(read_frame(table), "mahalanobis", 4, known=known.given)
    np.testing.assert_allclose(read_frame(tmp_path / "m.csv")["score"], right.numpy(), rtol=1e-6)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_is_scored_part_by_part_by_its_schema(ending: str, run: Path, tmp_path: Path) -> None:
    frame = people(50, seed=9)
    source = tmp_path / f"new{ending}"
    shuffled = frame[["town", "id", "born", "kids", "height", "sex"]]
    if ending == ".csv":
        shuffled.to_csv(source, index=False, sep=";", decimal=",")
    else:
        shuffled.to_parquet(source)
    done("score", run, source, "-o", tmp_path / "parts", "--samples", "6", "--part-rows", "20", "--format", "csv")
    parts = pd.concat([pd.read_csv(path) for path in sorted((tmp_path / "parts").glob("part-*"))])
    assert parts["id"].tolist() == frame["id"].tolist()
    assert list(parts) == ["row", "id", "score", "elbo", "p_value"]
    np.testing.assert_allclose(-parts["score"], model(run).score_samples(frame, 6).numpy(), rtol=1e-5)


def test_a_wrong_cell_of_a_part_is_named_by_its_row_in_the_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = people(50, seed=9)
    frame.loc[43, "town"] = "Uml"
    frame.to_parquet(tmp_path / "new.parquet")
    parts = ["-o", str(tmp_path / "parts"), "--part-rows", "20", "--samples", "2", *HASTE]
    assert launch(app, ["score", str(run), str(tmp_path / "new.parquet"), *parts]) == 2
    assert "new.parquet: column 'town', row 43 holds 'Uml'" in said(capsys)


def test_clusters_and_classes_stand_beside_the_rows(run: Path, table: Path, tmp_path: Path) -> None:
    done("cluster", run, "-o", tmp_path / "k.csv", "--most", "4")
    found = read_frame(tmp_path / "k.csv")
    each = found[[name for name in found if name.startswith("p_")]]
    np.testing.assert_allclose(each.sum(axis=1), 1, atol=1e-4)
    assert (each.to_numpy().argmax(1) == found["cluster"]).all()
    assert len(found) == len(read_frame(table))


def test_classes_have_the_names_of_the_labels(table: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('[columns.sex]\nrole = "label"\n')
    settings = ["--schema", tmp_path / "s.toml", "--epochs", "15", "--samples", "2"]
    done("fit", table, *settings, "--out", tmp_path / "run", "--learning-rate", "0.01")
    done("classify", tmp_path / "run", "-o", tmp_path / "y.csv")
    found = read_frame(tmp_path / "y.csv")
    told = found[found["sex"].notna()]
    assert set(found["class"]) == {"female", "male"}
    assert (told["class"] == told["sex"]).mean() > 0.8
    assert ((found["p_male"] > 0.5) == (found["class"] == "male")).all()


WRONG = {
    "one value each": ("a,b\n1,x\n1,x\n", "no column to model ('a' is constant; 'b' is constant)"),
    "all distinct": ("name\n" + "\n".join(f"n{row}" for row in range(30)), "'name' is identifier"),
    "one row": ("a,b\n1,2\n", "a table of 1 row"),
    "text among numbers": ("a\n" + "\n".join(map(str, range(40))) + "\nx\n", "column 'a', row 40 holds 'x'"),
    "an infinity": ("a\n" + "\n".join(map(str, range(40))) + "\ninf\n", "column 'a', row 40 holds inf"),
    "a name twice": ("a,a\n1,2\n3,4\n", "columns 1 and 2 are both called 'a'"),
    "a ragged line": ("a,b\n1,2\n3,4,5\n", "line 3 has 3 cells, but line 1 has 2"),
    "nothing": ("", "is empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_table_that_is_wrong_is_one_line_that_names_the_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, words = WRONG[name]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert launch(app, ["fit", str(path), "--out", str(tmp_path / "out"), *HASTE]) == 2
    line = said(capsys)
    assert words in line
    assert str(path) in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[columns.nope]\nkind = "numeric"', "column 'nope' of the schema is not in the table"),
        ('[columns.town]\nkind = "positive"', "column 'town', row 0 holds"),
        ('[columns.town]\nkind = "positiv"', "did you mean 'positive'?"),
        ("[columns.town", "the schema is no TOML"),
    ],
)
def test_a_schema_that_does_not_fit_names_both_files(
    text: str, words: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = tmp_path / "s.toml"
    schema.write_text(text)
    assert launch(app, ["fit", str(table), "--schema", str(schema), "--out", str(tmp_path / "o"), *HASTE]) == 2
    line = said(capsys)
    assert words in line
    assert str(schema) in line


def spoilt(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The table with something wrong with it."""
    wrong = {
        "unseen": ("town", "Uml"),
        "text": ("kids", "two"),
        "negative": ("kids", -1),
        "infinite": ("height", np.inf),
    }
    if name in wrong:
        column, cell = wrong[name]
        frame = frame.astype({column: object})
        frame.loc[7, column] = cell
        return frame
    return {
        "new": frame.assign(wage=1),
        "missing": frame.drop(columns="kids"),
        "renamed": frame.rename(columns={"height": "hieght"}),
    }[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unseen", "column 'town', row 7 holds 'Uml', which is no known level: did you mean 'Ulm'?"),
        ("text", "column 'kids', row 7 holds 'two', which is no number"),
        ("negative", "column 'kids', row 7 holds -1, but count must be"),
        ("infinite", "column 'height', row 7 holds inf"),
        ("new", "column 'wage' is new"),
        ("missing", "column 'kids' is missing"),
        ("renamed", "column 'height' is missing: did you mean 'hieght'?"),
    ],
)
def test_rows_that_do_not_fit_the_model_are_one_line(
    name: str, words: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "use.csv"
    spoilt(name, people()).to_csv(path, index=False)
    assert launch(app, ["complete", str(run), str(path), "-o", str(tmp_path / "c.csv"), *HASTE]) == 2
    line = said(capsys)
    assert f"{path}: {words}" in line
    assert not (tmp_path / "c.csv").exists()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["sample", "RUN", "--given", "sex=femal"], "did you mean 'female'?"),
        (["sample", "RUN", "--given", "sexx=female"], "no column 'sexx': did you mean 'sex'?"),
        (["sample", "RUN", "--given", "sex"], "write it as column=value"),
        (["score", "RUN", "--by", "typicalty"], "did you mean 'typicality'?"),
        (["classify", "RUN"], 'role = "label"'),
        (["complete", "RUN", "--draws", "2", "--by", "mode"], "leave one out"),
        (["traverse", "RUN", "--coordinates", "99"], "there is no coordinate 99"),
    ],
)
def test_a_wrong_use_is_one_line(
    words: list[str], answer: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(run) if word == "RUN" else word for word in words]
    assert launch(app, [*asked, "-o", str(tmp_path / "o.csv"), *HASTE]) == 2
    assert answer in said(capsys)


def test_dialects_and_old_dates_are_read(run: Path, tmp_path: Path) -> None:
    frame = people(30, seed=3)
    frame["born"] = frame["born"].where(frame.index != 4, "1948-05-02")
    text = "\ufeff" + frame.to_csv(index=False, sep=";", decimal=",")
    path = tmp_path / "use.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    done("complete", run, path, "-o", tmp_path / "c.csv", "--samples", "5")
    assert read_frame(tmp_path / "c.csv")["born"].tolist() == frame["born"].tolist()


def test_pandas_is_loaded_for_tables_alone() -> None:
    modules = "vaekit.cli.fitting, vaekit.cli.jobs, vaekit.cli.scoring, vaekit.cli.groups, vaekit.cli.traversing"
    code = f"import sys, vaekit, {modules}, vaekit.report; print('pandas' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "False"
    helped = "import sys; from vaekit.cli.app import app; app(['--help'], result_action='return_value')"
    told = subprocess.run(
        [sys.executable, "-c", f"{helped}; print('pandas' in sys.modules, 'torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.splitlines()[-1] == "False False"


def test_whole_numbers_beside_missing_ones_are_written_as_such(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"age": pd.array(draw.integers(20, 70, 80), "Int64"), "share": draw.random(80).round(2)})
    frame.loc[::7, "age"] = None
    frame.to_csv(tmp_path / "ages.csv", index=False)
    done("fit", tmp_path / "ages.csv", "--out", tmp_path / "run", "--epochs", "1", "--samples", "2")
    done("complete", tmp_path / "run", "--out", tmp_path / "full.csv")
    ages = [line.split(",")[0] for line in (tmp_path / "full.csv").read_text().splitlines()[1:]]
    assert all(age.isdigit() for age in ages)
    assert [age for age, known in zip(ages, frame["age"].notna(), strict=True) if known] == [
        str(age) for age in frame["age"].dropna()
    ]


@pytest.mark.filterwarnings("default")
def test_what_is_given_outside_the_range_stays_and_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(app, ["sample", str(run), "-n", "3", "--given", "height=2.75", "--out", str(tmp_path / "s.csv")]) == 0
    assert set(read_frame(tmp_path / "s.csv")["height"]) == {2.75}
    assert "'height' is given as 2.75, outside what was seen" in capsys.readouterr().err
    done("sample", run, "-n", "3", "--given", "born=2031-01-05", "--out", tmp_path / "t.csv")
    assert set(read_frame(tmp_path / "t.csv")["born"]) == {"2031-01-05"}


def test_a_given_cell_that_does_not_fit_is_named_without_a_row(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(app, ["sample", str(run), "-n", "3", "--given", "sex=femle", "--out", "s.csv"]) == 2
    said = capsys.readouterr().err
    assert "column 'sex', as given, holds 'femle', which is no known level: did you mean 'female'?" in said
    assert "row" not in said


def test_reconstructions_are_of_all_rows(run: Path, tmp_path: Path) -> None:
    rows = people(90, seed=2)
    rows.to_csv(tmp_path / "more.csv", index=False)
    done("reconstruct", run, tmp_path / "more.csv", "--out", tmp_path / "again.csv")
    assert len(read_frame(tmp_path / "again.csv")) == 90


def test_part_of_a_schema_is_shown_with_the_rest(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "part.toml").write_text('[columns.kids]\nkind = "numeric"\n')
    assert launch(app, ["schema", str(table), "--schema", str(tmp_path / "part.toml"), "--json"]) == 0
    kinds = {column["name"]: column["kind"] for column in json.loads(capsys.readouterr().out)["columns"]}
    assert kinds["kids"] == "numeric"
    assert kinds["sex"] == "binary"


def test_a_report_that_is_made_anew_names_its_rows_as_the_first_did(run: Path, tmp_path: Path) -> None:
    done("report", run, "--out", tmp_path / "again.html", "--samples", "2")
    pages = [page.read_text() for page in (run / "report.html", tmp_path / "again.html")]
    assert all("held-out rows" in page and "test rows" not in page for page in pages)
