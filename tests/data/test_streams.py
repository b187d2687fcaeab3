"""Stores read every row as it was written, and refuse what cannot be read by naming it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler

from vaekit.common.errors import DataError, UsageError
from vaekit.data import Splits, load_data, open_data
from vaekit.data.streams import (
    ImageStore,
    NpyStore,
    Part,
    Share,
    Store,
    Streamed,
    TableStore,
    in_memory,
    loader_store,
    parted,
)

N, WIDE = 103, 3
VALUES = np.random.default_rng(0).standard_normal((N, WIDE)).astype(np.float32)
LABELS = np.arange(N) % 4


class Counting(IterableDataset[tuple[Tensor, int]]):
    """Rows that come one after another, of a number that is not told."""

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return ((torch.from_numpy(row), int(label)) for row, label in zip(VALUES, LABELS, strict=True))


class Boastful(Counting):
    """Says that it has more rows than come."""

    def __len__(self) -> int:
        return N + 1


def npy(folder: Path) -> Store:
    np.save(folder / "x.npy", VALUES)
    return NpyStore(folder / "x.npy")


def frame(rows: slice = slice(None)) -> pa.Table:
    columns: dict[str, np.ndarray] = {f"v{column}": VALUES[rows, column] for column in range(WIDE)}
    return pa.table(columns | {"kind": LABELS[rows]})


def parquet(folder: Path) -> Store:
    for number, rows in enumerate((slice(0, 40), slice(40, 41), slice(41, N))):
        pa.parquet.write_table(frame(rows), folder / f"part-{number}.parquet", row_group_size=16)
    return TableStore(folder, label="kind")


def feather(folder: Path) -> Store:
    pa.feather.write_feather(frame(), folder / "x.feather", chunksize=20)
    return TableStore(folder / "x.feather", label="kind")


def indexed(folder: Path) -> Store:
    data = TensorDataset(torch.from_numpy(VALUES), torch.from_numpy(LABELS))
    return loader_store(DataLoader(data, batch_size=8, shuffle=True))


def passing(folder: Path) -> Store:
    return loader_store(DataLoader(Counting(), batch_size=9))


STORES = [npy, parquet, feather, indexed, passing]


def every_block(store: Store, rows: int) -> list[range]:
    edges = store.edges(rows).tolist()
    return [range(first, last) for first, last in pairwise(edges)]


@pytest.mark.parametrize("make", STORES)
def test_blocks_hold_the_rows_that_were_written(make, tmp_path: Path) -> None:
    store = make(tmp_path)
    blocks = every_block(store, 10)
    assert [row for block in blocks for row in block] == list(range(N))
    for block, rows in zip(blocks, store.read(blocks), strict=True):
        assert np.array_equal(rows.x.numpy(), VALUES[block.start : block.stop])
        assert not store.labelled or np.array_equal(rows.y.numpy(), LABELS[block.start : block.stop])


@pytest.mark.parametrize("make", STORES[:-1])
def test_blocks_can_be_read_in_any_order(make, tmp_path: Path) -> None:
    store = make(tmp_path)
    blocks = every_block(store, 10)[::-2]
    for block, rows in zip(blocks, store.read(blocks), strict=True):
        assert np.array_equal(rows.x.numpy(), VALUES[block.start : block.stop])


def test_what_passes_can_be_skipped(tmp_path: Path) -> None:
    (rows,) = passing(tmp_path).read([range(50, 61)])
    assert np.array_equal(rows.x.numpy(), VALUES[50:61])


@pytest.mark.parametrize("make", STORES)
def test_a_store_reads_into_memory_whole(make, tmp_path: Path) -> None:
    assert np.array_equal(in_memory(make(tmp_path)).x.numpy(), VALUES)


def test_a_loader_with_workers_gives_the_same_rows(tmp_path: Path) -> None:
    store = loader_store(DataLoader(TensorDataset(torch.from_numpy(VALUES)), batch_size=8, num_workers=2))
    assert np.array_equal(in_memory(store).x.numpy(), VALUES)


def test_a_loader_that_draws_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    class Noisy(TensorDataset):
        def __getitem__(self, index: int) -> tuple[Tensor, ...]:
            return (torch.rand(2),)

    store = loader_store(DataLoader(Noisy(torch.zeros(6, 2)), batch_size=2))
    before = torch.random.get_rng_state()
    once, again, other = (torch.cat([rows.x for rows in store.read([range(6)], seed)]) for seed in (1, 1, 2))
    assert before.equal(torch.random.get_rng_state())
    assert once.equal(again)
    assert not once.equal(other)


def pictures(folder: Path, n: int = 6, mode: str = "RGB") -> np.ndarray:
    """Images in two sub-folders; what they hold, in the order of their names."""
    values = np.random.default_rng(1).integers(0, 256, (n, 5, 4, 3), dtype=np.uint8)
    for number, value in enumerate(values):
        place = folder / ("cats" if number < n // 2 else "dogs")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(value).convert(mode).save(place / f"{number:03}.png")
    return values


def test_images_are_decoded_and_their_folders_are_labels(tmp_path: Path) -> None:
    values = pictures(tmp_path / "zoo")
    store = ImageStore(tmp_path / "zoo")
    rows = in_memory(store)
    assert np.array_equal(rows.x.permute(0, 2, 3, 1).numpy(), values)
    assert rows.y is not None
    assert rows.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert store.classes == ("cats", "dogs")


def test_grey_images_without_sub_folders_have_no_labels(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 3), 7, np.uint8)).save(tmp_path / "a.png")
    rows = load_data(tmp_path).train
    assert rows.y is None
    assert rows.x.tolist() == [[[[7] * 3] * 4]]


def test_larger_than_the_memory_is_streamed_and_smaller_is_not(tmp_path: Path) -> None:
    np.save(tmp_path / "big.npy", np.zeros((1025, 256), np.float32))
    assert isinstance(open_data(tmp_path / "big.npy", memory=1), Streamed)
    whole = open_data(tmp_path / "big.npy", memory=2)
    assert isinstance(whole, Splits)
    assert len(whole.train) == 1025


def test_the_held_out_rows_are_those_of_the_seed_whatever_the_blocks(tmp_path: Path) -> None:
    store = npy(tmp_path)
    learn, held = parted(store, 0.3, seed=5)
    assert held is not None
    chosen = [
        {block.start + int(i) for block in every_block(store, rows) for i in held.chosen(block)} for rows in (7, 50)
    ]
    assert chosen[0] == chosen[1]
    rest = {int(i) for i in learn.chosen(range(N))}
    assert chosen[0] | rest == set(range(N))
    assert not chosen[0] & rest
    assert held.blocks(7).chosen == len(chosen[0])
    other = parted(store, 0.3, seed=6)[1]
    assert other is not None
    assert {int(i) for i in other.chosen(range(N))} != chosen[0]


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_the_share_held_out_is_the_fraction(fraction: float) -> None:
    n, held = 200_000, 0
    for seed in range(5):
        held += int(Share(0.0, fraction, seed).holds(range(n)).sum())
    assert abs(held / (5 * n) - fraction) < 5 * (fraction * (1 - fraction) / (5 * n)) ** 0.5


def test_rows_of_two_seeds_are_held_out_independently() -> None:
    n = 200_000
    both = Share(0, 0.1, 0).holds(range(n)) & Share(0, 0.1, 1).holds(range(n))
    assert abs(both.mean() - 0.01) < 5 * (0.01 * 0.99 / n) ** 0.5


def test_some_rows_come_from_all_over_the_data(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(100_000, dtype=np.float32)[:, None])
    some = Part(NpyStore(tmp_path / "x.npy")).some(500).x.flatten()
    assert len(some) == 500
    assert torch.equal(some, some.sort().values)
    assert some[0] < 1000
    assert some[-1] > 90_000


def folder(path: Path) -> Path:
    """A folder of parts, which is streamed as a table of numbers."""
    (path / "parts").mkdir(exist_ok=True)
    return path / "parts"


def refused(match: str, path: Path) -> None:
    """Reading the data at a path is refused in one line that holds all these words."""
    with pytest.raises(DataError) as found:
        load_data(path)
    message = str(found.value)
    assert "\n" not in message
    for word in match.split("|"):
        assert word in message, message


def test_an_npy_cut_short_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", VALUES)
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data[:-5])
    with pytest.raises(DataError, match=r"x\.npy: is cut short"):
        NpyStore(tmp_path / "x.npy")


def test_an_npy_stored_by_columns_is_refused_with_the_mend(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(VALUES))
    with pytest.raises(DataError, match="ascontiguousarray"):
        NpyStore(tmp_path / "x.npy")


@pytest.mark.parametrize("gap", [np.nan, np.inf])
def test_a_gap_is_named_by_row_and_column(gap: float, tmp_path: Path) -> None:
    values = VALUES.copy()
    values[77, 2] = gap
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(DataError, match=rf"x\.npy: row 77 holds {gap:g} in column 2"):
        list(NpyStore(tmp_path / "x.npy").read([range(70, 80)]))
    table = pa.table({"a": values[:, 0], "b": values[:, 2]})
    pa.parquet.write_table(table, folder(tmp_path) / "x.parquet", row_group_size=10)
    refused(f"x.parquet|row 77 holds {gap:g} in 'b'", folder(tmp_path))


def test_a_null_is_named_by_row_and_column(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"a": [1, 2, 3], "b": [1.0, None, 3.0]}), folder(tmp_path) / "x.parquet")
    refused("x.parquet|row 1 of column 'b' is null", folder(tmp_path))


def test_a_text_column_is_named_with_the_mend(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"a": [1.0], "city": ["Oslo"]}), folder(tmp_path) / "x.parquet")
    refused("x.parquet|column 'city' is string|code it in numbers, or leave it out", folder(tmp_path))


def test_parts_with_other_columns_are_named(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"a": [1.0], "b": [1.0]}), tmp_path / "0.parquet")
    pa.parquet.write_table(pa.table({"a": [1.0], "c": [1.0]}), tmp_path / "1.parquet")
    refused("1.parquet|'b' is not there, but double in 0.parquet", tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_a_table_cut_short_is_named(suffix: str, tmp_path: Path) -> None:
    write = {"parquet": pa.parquet.write_table, "feather": pa.feather.write_feather}[suffix]
    write(frame(), tmp_path / f"x.{suffix}")
    data = (tmp_path / f"x.{suffix}").read_bytes()
    (tmp_path / f"x.{suffix}").write_bytes(data[: len(data) // 2])
    refused(f"x.{suffix}|cut short", tmp_path / f"x.{suffix}")


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa.parquet.write_table(frame(), tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'vaekit\[parquet\]'"):
        load_data(tmp_path / "x.parquet")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    refused(str(tmp_path), tmp_path)
    with pytest.raises(DataError, match="no image in this folder"):
        ImageStore(tmp_path)


@pytest.mark.parametrize("kept", [20, 60])
def test_a_damaged_image_is_named(kept: int, tmp_path: Path) -> None:
    pictures(tmp_path)
    bad = tmp_path / "dogs" / "004.png"
    bad.write_bytes(bad.read_bytes()[:kept])
    refused("dogs/004.png", tmp_path)


def test_an_image_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    pictures(tmp_path)
    Image.fromarray(np.zeros((9, 8, 3), np.uint8)).save(tmp_path / "dogs" / "004.png")
    refused("dogs/004.png|8 x 9 pixels of RGB|cats/000.png is 4 x 5 pixels of RGB", tmp_path)


def test_an_image_of_another_mode_is_named(tmp_path: Path) -> None:
    pictures(tmp_path)
    Image.fromarray(np.zeros((5, 4), np.uint8)).save(tmp_path / "dogs" / "004.png")
    refused("dogs/004.png|pixels of L|RGB", tmp_path)


def test_an_image_beside_the_sub_folders_is_named(tmp_path: Path) -> None:
    pictures(tmp_path)
    Image.fromarray(np.zeros((5, 4, 3), np.uint8)).save(tmp_path / "loose.png")
    refused("loose.png|beside sub-folders", tmp_path)


def test_a_sampler_of_its_own_is_refused() -> None:
    data = TensorDataset(torch.zeros(4, 2))
    with pytest.raises(UsageError, match="WeightedRandomSampler"):
        loader_store(DataLoader(data, sampler=WeightedRandomSampler([1.0] * 4, 4)))


def test_a_loader_of_something_else_is_refused() -> None:
    with pytest.raises(UsageError, match="neither tensors nor pairs"):
        loader_store(DataLoader([{"a": 1.0}, {"a": 2.0}]))  # type: ignore[arg-type]


def test_a_length_that_is_not_so_is_refused() -> None:
    with pytest.raises(DataError, match=f"{N} rows came, but its length is {N + 1}"):
        in_memory(loader_store(DataLoader(Boastful(), batch_size=9)))
