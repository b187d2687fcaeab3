"""A stream gives every row once, in the seed's order, from any batch on, within its memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import vaekit
from train.toys import CPU
from vaekit.common.errors import DataError, UsageError
from vaekit.core import Batch
from vaekit.core.meeting import ROW
from vaekit.data import Dataset, Dynamic, Encoding, Greys
from vaekit.data.streams import NpyStore, Part, Share, loader_store
from vaekit.recipes import build
from vaekit.train import Resident, Settings, train
from vaekit.train.rows.labels import Wanted
from vaekit.train.rows.streams import Stream

N, WIDE, MEMORY = 20_011, 32, 1
"""2.4 MiB of rows, read within 1."""
PLAIN = Encoding(Greys())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows whose first value is their number."""
    values = np.random.default_rng(0).random((N, WIDE), dtype=np.float32)
    values[:, 0] = np.arange(N)
    path = tmp_path_factory.mktemp("stream") / "x.npy"
    np.save(path, values)
    return path


def stream(file: Path, share: Share = Share(), batch_size: int = 100, memory: int = MEMORY) -> Stream:  # noqa: B008
    return Stream(Part(NpyStore(file), share), PLAIN, batch_size, CPU, memory)


def numbers(batches: Iterable[Batch]) -> Tensor:
    """The rows of batches, by what their first value says."""
    return torch.cat([batch.x[:, 0] for batch in batches]).long()


def correlation(order: Tensor) -> float:
    """Between where a row comes and its number."""
    return float(np.corrcoef(np.arange(len(order)), order.numpy())[0, 1])


def test_the_toy_does_not_fit_in_the_memory(file: Path) -> None:
    assert not stream(file).exact
    assert stream(file).buffered < N / 3
    assert stream(file, memory=16).exact


def test_every_row_comes_once_a_pass(file: Path) -> None:
    made = stream(file)
    assert numbers(made.in_order()).tolist() == list(range(N))
    assert numbers(made.shuffled(3)).sort().values.tolist() == list(range(N))
    sizes = [len(batch) for batch in made.shuffled(3)]
    assert len(sizes) == len(made)
    assert sizes == [100] * (N // 100) + [N % 100]


def test_the_order_is_the_seeds(file: Path) -> None:
    once, again, other = (numbers(stream(file).shuffled(seed)) for seed in (1, 1, 2))
    assert once.equal(again)
    assert not once.equal(other)
    assert abs(correlation(once[other.argsort()])) < 5 / N**0.5


def test_the_global_generator_is_not_touched(file: Path) -> None:
    before = torch.random.get_rng_state()
    list(stream(file).shuffled(1))
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.parametrize("start", [0, 1, 30, 31, 150, 200, 201])
def test_from_a_batch_on_is_the_tail_of_the_pass(start: int, file: Path) -> None:
    whole = list(stream(file).shuffled(4))
    tail = list(stream(file).shuffled(4, start))
    assert len(tail) == len(whole) - start
    assert all(one.x.equal(other.x) for one, other in zip(whole[start:], tail, strict=True))


def test_what_is_skipped_is_not_read(file: Path) -> None:
    read: list[int] = []
    made = stream(file)
    made._check = lambda rows: read.append(len(rows))
    list(made.shuffled(4, start=190))
    assert sum(read) < made.buffered


def test_blocks_are_mixed(file: Path) -> None:
    """Neither where a row comes in a pass nor what comes next tells its number."""
    order = numbers(stream(file).shuffled(5))
    assert abs(correlation(order)) < 0.1
    apart = (order[1:] - order[:-1]).abs()
    assert (apart == 1).float().mean() < 0.01
    assert abs(float(apart.float().mean()) / (N / 3) - 1) < 0.2
    first = order[:100].float()
    assert first.std() > 0.7 * N / 12**0.5


def test_what_fits_is_shuffled_exactly(file: Path) -> None:
    """In a uniform shuffle the first batch's numbers have the mean and spread of a draw without replacement."""
    made = stream(file, memory=64)
    firsts = torch.stack([numbers(islice(made.shuffled(seed), 1)) for seed in range(40)]).float()
    assert abs(float(firsts.mean()) - (N - 1) / 2) < 5 * N / (12 * firsts.numel()) ** 0.5
    assert abs(float(firsts.std()) / (N / 12**0.5) - 1) < 5 / (2 * firsts.numel()) ** 0.5


def test_numbers_beside_the_rows_find_them_again(file: Path) -> None:
    made = stream(file, Share(0.25, 1.0, seed=7))
    for batch in islice(made.shuffled(1), 3):
        assert made.rows[batch.given[ROW]].equal(batch.x)
    assert len(made.rows) == made.examples
    assert numbers(made.in_order()).tolist() == np.flatnonzero(Share(0.25, 1.0, seed=7).holds(range(N))).tolist()


@pytest.mark.parametrize("world", [2, 3, 7])
def test_ranks_share_the_rows(world: int, file: Path) -> None:
    ranks = [stream(file, Share(0.1, 1.0)).shared(rank, world) for rank in range(world)]
    kept = np.flatnonzero(Share(0.1, 1.0).holds(range(N))).tolist()
    seen = [numbers(rank.in_order()) for rank in ranks]
    assert torch.cat(seen).tolist() == kept
    trained = [[len(batch) for batch in rank.shuffled(2)] for rank in ranks]
    assert all(sizes == trained[0] for sizes in trained)
    assert len(trained[0]) == len(ranks[0])
    every = torch.cat([numbers(rank.shuffled(2)) for rank in ranks])
    assert sorted(set(every.tolist())) == kept
    assert len(every) - len(kept) < world


def test_an_iterable_is_shuffled_within_a_buffer() -> None:
    class Numbers(IterableDataset[Tensor]):
        def __iter__(self) -> Iterator[Tensor]:
            return (torch.full((1024,), float(number)) for number in range(1000))

    made = Stream(Part(loader_store(DataLoader(Numbers(), batch_size=30))), PLAIN, 10, CPU, memory=1)
    once, again = numbers(made.shuffled(1)), numbers(made.shuffled(1))
    assert once.equal(again)
    assert once.sort().values.tolist() == list(range(1000))
    assert once[: made.buffered].sort().values.tolist() == list(range(made.buffered))
    assert not once.equal(torch.arange(1000))
    assert numbers(made.shuffled(1, 20)).equal(once[200:])
    with pytest.raises(UsageError, match="by number"):
        made.rows[torch.tensor([1])]


def test_labels_come_with_their_rows() -> None:
    data = TensorDataset(torch.arange(50.0)[:, None], torch.arange(50) % 3)
    made = Stream(Part(loader_store(DataLoader(data))), PLAIN, 8, CPU).labelled({"y": Wanted(3, may_be_missing=False)})
    for batch in made.shuffled(1):
        assert (batch.x[:, 0].long() % 3).equal(batch.given["y"].argmax(1))


def test_a_label_out_of_range_is_named_by_its_row() -> None:
    labels = torch.zeros(50, dtype=torch.long)
    labels[37] = 3
    data = TensorDataset(torch.zeros(50, 1), labels)
    made = Stream(Part(loader_store(DataLoader(data))), PLAIN, 8, CPU).labelled({"y": Wanted(3, may_be_missing=False)})
    with pytest.raises(DataError, match="row 37 of y holds 3"):
        list(made.in_order())


def test_labels_that_are_wanted_and_not_there_are_refused(file: Path) -> None:
    with pytest.raises(DataError, match="have none"):
        stream(file).labelled({"y": Wanted(3, may_be_missing=False)})


def test_a_batch_that_does_not_fit_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="does not fit in 1 MiB"):
        stream(file, batch_size=100_000)


def test_row_groups_that_do_not_fit_are_refused_with_the_memory_they_need(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"a": np.zeros(10**6)}), tmp_path / "x.parquet", row_group_size=10**6)
    part = Part(vaekit.data.streams.TableStore(tmp_path / "x.parquet"))
    with pytest.raises(DataError, match="allow memory=23"):
        Stream(part, PLAIN, 10, CPU, memory=2)
    assert Stream(part, PLAIN, 10, CPU, memory=23).examples == 10**6


class AsStreamed(Resident):
    """Rows in memory, in the order in which a stream gives them."""

    def __init__(self, stream: Stream, rows: Dataset) -> None:
        super().__init__(rows, stream.encoding, stream.batch_size, CPU)
        self.stream = Stream(stream.part, PLAIN, stream.batch_size, CPU, MEMORY)

    def order(self, seed: int) -> Tensor:
        return torch.cat([batch.given[ROW] for batch in self.stream.shuffled(seed)])


def test_a_model_fitted_to_a_stream_is_the_one_fitted_from_memory(tmp_path: Path) -> None:
    """To the bit, binarisation and noise included: the thread that reads ahead takes no draw from the run."""
    greys = np.random.default_rng(2).random((3000, 64), dtype=np.float32)
    np.save(tmp_path / "x.npy", greys)
    streamed = Stream(Part(NpyStore(tmp_path / "x.npy")), Encoding(Dynamic()), 100, CPU, memory=1)
    assert streamed.buffered < 3000
    weights = []
    for source in (streamed, AsStreamed(streamed, Dataset(torch.from_numpy(greys)))):
        model, objective = build("vae", (64,), latent=2, hidden=(16,))
        train(model, objective, source, source, Settings(max_epochs=3, batch_size=100))
        weights.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)


def test_fit_takes_a_path_larger_than_memory(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.load(file)[:, 1:]
    path = file.with_name("unit.npy")
    np.save(path, rows)
    settings = {"max_epochs": 2, "batch_size": 200}
    losses = []
    for memory in (1, 64):
        model, objective = build("vae", (WIDE - 1,), latent=2, hidden=(16,))
        fitted = vaekit.fit(model, objective, path, memory=memory, **settings)
        losses.append(fitted.history[-1].held_out.elbo)
        assert fitted.about.training["examples"] == N
    assert "block shuffling" in capsys.readouterr().err
    assert abs(losses[0] - losses[1]) < 0.2


def test_values_outside_the_support_are_named_by_their_row(tmp_path: Path) -> None:
    values = np.full((20_000, 32), 0.5, np.float32)
    values[15_123, 4] = 1.5
    np.save(tmp_path / "x.npy", values)
    model, objective = build("vae", (32,), latent=2, hidden=(4,))
    with pytest.raises(DataError, match=r"row 15123 of x holds 1\.5"):
        vaekit.fit(model, objective, tmp_path / "x.npy", memory=1, validation=0, max_epochs=1, verbose=False)


def test_what_is_binarised_once_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="once for all"):
        vaekit.fit(*build("vae", (WIDE,), latent=2), file, memory=1, binarize="static", verbose=False)


PEAK = """
import re, sys
from pathlib import Path
import torch
from vaekit.data import Encoding, Greys
from vaekit.data.streams import NpyStore, Part, TableStore
from vaekit.train.rows.streams import Stream
torch.set_num_threads(1)
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
for path in map(Path, sys.argv[1:]):
    store = NpyStore(path) if path.suffix == ".npy" else TableStore(path)
    before = peak()
    stream = Stream(Part(store), Encoding(Greys()), 256, torch.device("cpu"), memory=4)
    assert sum(len(batch) for epoch in range(2) for batch in stream.shuffled(epoch)) == 2 * len(store)
    print(peak() - before)
"""
"""Prints by how many MiB two passes within 4 MiB raise the peak of resident memory: for one file, then for another."""


def peaks(*paths: Path) -> list[float]:
    done = subprocess.run([sys.executable, "-c", PEAK, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [float(line) for line in done.stdout.split()]


def write(path: Path, rows: int) -> Path:
    values = np.random.default_rng(0).random((rows, 64), dtype=np.float32)
    if path.suffix == ".npy":
        np.save(path, values)
        return path
    table = pa.table({f"v{column}": values[:, column] for column in range(values.shape[1])})
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path, row_group_size=2000)
    else:
        pa.feather.write_feather(table, path, chunksize=2000)
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own count of memory")
@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".feather"])
def test_memory_does_not_grow_with_the_data(suffix: str, tmp_path: Path) -> None:
    """From 8 to 160 MiB of rows, within 4, and what the libraries take when they are first used."""
    first, more = peaks(*(write(tmp_path / f"{times}{suffix}", times * 32_768) for times in (1, 20)))
    assert first < 40
    assert more < 16
