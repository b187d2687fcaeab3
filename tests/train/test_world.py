"""Two ranks against one: the same course, the same bits in both, and an end together."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from train.ranks import CASES, ROWS, Result, run
from train.toys import CPU
from vaekit.common.errors import UsageError
from vaekit.data import Dataset, Encoding, Greys
from vaekit.objectives import Elbo
from vaekit.recipes import build
from vaekit.train import Resident, Settings
from vaekit.train.ranks.strategy import remarks
from vaekit.train.ranks.world import ALONE, World, joining
from vaekit.train.rows.source import order_seed

TESTS = Path(__file__).parent.parent


def started(*words: str, folder: Path = TESTS, ranks: int = 2) -> list[subprocess.Popen[str]]:
    """The ranks of a world on this machine, as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(ranks)}
    folders = {"PYTHONPATH": str(TESTS), "RANKS_FOLDER": str(folder)}
    shared = {**os.environ, **meeting, **folders, "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, "-c", "from train.ranks import main; main()", *words],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What each of two ranks found, case by case."""
    out = tmp_path_factory.mktemp("ranks") / "found.pt"
    ranks = started(*CASES, "--out", str(out), folder=out.parent)
    said = [rank.communicate(timeout=240)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    found: dict[str, list[Any]] = torch.load(out, weights_only=False)
    return found


def agree(one: Result, other: Result) -> None:
    """Both took the same course, but for the order of sums."""
    torch.testing.assert_close(other.state, one.state, rtol=1e-4, atol=1e-5)
    for mine, yours in zip(one.history, other.history, strict=True):
        assert yours.train.value == pytest.approx(mine.train.value, rel=1e-4)
        assert yours.examples == mine.examples
        assert (mine.held_out is None) is (yours.held_out is None)
        if mine.held_out and yours.held_out:
            assert yours.held_out.score == pytest.approx(mine.held_out.score, rel=1e-4)
    assert one.best_epoch == other.best_epoch


@pytest.mark.parametrize("case", ["plain", "sgd", "adamw", "fsdp", "fsdp_sgd", "codes"])
def test_a_run_without_noise_is_the_same_on_two_ranks_as_on_one(two: dict[str, list[Result]], case: str) -> None:
    """Also where shares are unequal, a rank has none, the gradient is clipped, the weights averaged, and an early
    stop is decided."""
    agree(CASES[case](ALONE), two[case][0])


@pytest.mark.parametrize("case", ["draws", "learned_draws", "plain", "sgd", "fsdp_sgd"])
def test_the_runs_that_are_compared_learn(case: str) -> None:
    start = build("ae" if "draws" not in case else "vae", (6,), seed=0, latent=2, hidden=(8,)).model.state_dict()
    moved = max(float((value - start[name]).abs().max()) for name, value in CASES[case](ALONE).state.items())
    assert (moved > 1e-2) is (case != "draws")


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("exchange", "multiplier")])
def test_both_ranks_end_with_the_same(two: dict[str, list[Any]], case: str) -> None:
    """To the bit, whatever they draw, keep outside the gradient, or complain of."""
    first, second = two[case]
    assert outcome(first) == outcome(second)


def outcome(found: Any) -> Any:
    """The bits of a run's weights and its scores, or what else a rank found."""
    if isinstance(found, dict):
        return {name: outcome(each) for name, each in found.items()}
    return (found.bits, [epoch.score for epoch in found.history]) if isinstance(found, Result) else found


@pytest.mark.parametrize("case", ["resumed", "resumed_fsdp"])
def test_a_run_put_down_and_taken_up_is_the_same_to_the_bit(two: dict[str, list[Any]], case: str) -> None:
    for found in two[case]:
        assert len(found["whole"].history) == 3
        assert outcome(found["parted"]) == outcome(found["whole"])


@pytest.mark.parametrize("case", ["resumed", "resumed_fsdp"])
def test_a_run_interrupted_within_an_epoch_is_the_same_to_the_bit(two: dict[str, list[Any]], case: str) -> None:
    for found in two[case]:
        assert found["kept"] == "epoch-00001-batch-000016"
        assert len(found["interrupted"].history) == 3
        assert outcome(found["interrupted"]) == outcome(found["whole"])


@pytest.mark.parametrize("case", ["draws", "fsdp_vamp"])
def test_what_is_held_out_is_explained_by_the_same_draws(two: dict[str, list[Result]], case: str) -> None:
    """With weights that hardly move, the held-out terms of a model that draws are those of one process."""
    if case == "draws":
        alone = CASES[case](ALONE)
        seen, expected = two[case][0].history[-1].held_out, alone.history[-1].held_out
        assert seen is not None
        assert expected is not None
        assert seen.elbo == pytest.approx(expected.elbo, rel=1e-6)
        assert seen.kl["z"] == pytest.approx(expected.kl["z"], rel=1e-6)
    else:
        first, second = two[case][0].history
        assert first.held_out == second.held_out


def test_the_ranks_draw_noise_of_their_own_and_learn_as_well(two: dict[str, list[Result]]) -> None:
    alone, both = CASES["learned_draws"](ALONE), two["learned_draws"][0]
    assert both.history[-1].train.value != alone.history[-1].train.value
    assert both.history[-1].train.value == pytest.approx(alone.history[-1].train.value, abs=0.1)
    assert two["exchange"][0]["noise"] == 0
    assert two["exchange"][1]["noise"] != 0


def test_a_stream_is_shared_too(two: dict[str, list[Result]]) -> None:
    for epoch, alone in zip(two["streamed"][0].history, CASES["streamed"](ALONE).history, strict=True):
        assert 0 <= epoch.examples - alone.examples <= 1
        assert epoch.held_out is not None
        assert alone.held_out is not None
        assert epoch.held_out.score == pytest.approx(alone.held_out.score, abs=0.5)


def test_ranks_exchange_what_they_have(two: dict[str, list[Any]]) -> None:
    for rank, found in enumerate(two["exchange"]):
        assert found["sum"] == [2.0, 1.0]
        assert found["agreed"] == [7.0]
        assert found["gathered"] == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
        assert found["any"] == [True, False]
        assert found["leads"] is (rank == 0)


def test_a_multiplier_hears_of_the_whole_batch(two: dict[str, list[Any]]) -> None:
    expected = CASES["multiplier"](ALONE)
    assert len(set(expected)) > 2
    assert two["multiplier"][0] == two["multiplier"][1] == pytest.approx(expected, rel=1e-6)


def test_a_term_of_the_batch_is_taken_over_each_ranks_share(two: dict[str, list[Result]]) -> None:
    """One step of gradient descent down the mean of w^2 m^2 over the shares, m the mean of a share and w a sum."""
    start = next(iter(build("ae", (6,), seed=0, latent=2, hidden=(8,)).model.parameters())).detach()
    order = Resident(Dataset(ROWS[:16]), Encoding(Greys()), 16, CPU).order(order_seed(0, 1))
    means = torch.stack([part.mean() for part in ROWS[order].split(8)])
    step = 1e-2 * 2 * start.sum() * means.square().mean()
    moved = next(iter(two["over_batch"][0].state.values()))
    torch.testing.assert_close(moved, start - step, rtol=1e-4, atol=1e-6)


def test_batch_statistics_are_means_over_the_ranks(two: dict[str, list[Result]]) -> None:
    """They are those of the same data, whoever saw which share: the running mean of one process is close by."""
    alone, both = CASES["batch_norm"](ALONE), two["batch_norm"][0]
    names = [name for name in alone.state if name.endswith("running_mean")]
    assert names
    for name in names:
        torch.testing.assert_close(both.state[name], alone.state[name], rtol=0.2, atol=0.1)


def test_what_only_one_rank_knows_is_found_out(two: dict[str, list[str]]) -> None:
    told = two["restless"][0]
    assert told.startswith("UsageError: ")
    assert "seen differs between the ranks 0 and 1" in told


def test_both_stop_where_one_diverges(two: dict[str, list[str]]) -> None:
    order = Resident(Dataset(ROWS), Encoding(Greys()), 16, CPU).order(order_seed(0, 1))
    position = int((order == 40).nonzero()) // 16 + 1
    assert f"the objective's value is not finite at epoch 1, step {position};" in two["exploding"][0]


def test_two_players_are_refused_in_pieces(two: dict[str, list[str]]) -> None:
    assert two["fsdp_rivals"][0].startswith("UsageError: Opposed has two players")


@pytest.mark.parametrize(("failure", "told_by"), [("lost", 0), ("failing", 1)])
def test_a_rank_does_not_outlive_the_other(failure: str, told_by: int) -> None:
    """Neither hangs, and one of them says why."""
    ranks = started(failure)
    said = [rank.communicate(timeout=60)[1] for rank in ranks]
    assert all(rank.returncode for rank in ranks)
    assert [bool(words) for words in said] == [rank == told_by for rank in range(2)], said
    assert {"lost": "RankLost: rank 0 of 2", "failing": "ZeroDivisionError: on the second rank"}[failure] in said[
        told_by
    ]
    assert said[told_by].count("\n") == 1


class Some(World):
    """A rank of a world that is not there."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    sum = agreed = gathered = collected = meet = None  # type: ignore[assignment]


@pytest.mark.parametrize("examples", [1, 2, 7, 12, 13, 100])
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_every_row_is_somebodys_exactly_once(examples: int, ranks: int) -> None:
    """In a pass over the held-out rows, and in one of training, where the ranks also keep step."""
    x = torch.arange(float(examples)).unsqueeze(1)
    sources = [Resident(Dataset(x), Encoding(Greys()), 2, CPU).shared(rank, ranks) for rank in range(ranks)]
    for passes in ([s.in_order() for s in sources], [s.shuffled(3) for s in sources]):
        found = [list(own) for own in passes]
        rows = [batch.x for own in found for batch in own if batch.counted]
        assert torch.cat(rows).flatten().sort().values.tolist() == x.flatten().tolist()
    assert {len(own) for own in found} == {len(sources[0])}
    assert [source.examples for source in sources] == [sum(batch.counted for batch in own) for own in found]


def test_the_shares_of_a_batch_make_the_batch_of_one_process() -> None:
    x = torch.arange(14.0).unsqueeze(1)
    whole = Resident(Dataset(x), Encoding(Greys()), 6, CPU)
    shares = [Resident(Dataset(x), Encoding(Greys()), 2, CPU).shared(rank, 3) for rank in range(3)]
    for batch, *parts in zip(whole.shuffled(5), *(share.shuffled(5) for share in shares), strict=True):
        torch.testing.assert_close(torch.cat([part.x for part in parts if part.counted]), batch.x)
    for batch, part in zip(list(whole.in_order())[1::3], shares[1].in_order(), strict=True):
        torch.testing.assert_close(part.x, batch.x)


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    assert Some(1, 4).batch(128) == 32
    with pytest.raises(UsageError, match="batch_size 128 cannot be shared evenly by 3 ranks: choose 126 or 129"):
        Some(1, 3).batch(128)
    with pytest.raises(UsageError, match=r"choose 4$"):
        Some(1, 4).batch(3)


def test_seeds_of_ranks_are_apart() -> None:
    assert len({Some(rank, 8).seed(seed) for rank in range(8) for seed in range(100)}) == 800


def test_a_run_over_ranks_says_what_it_does() -> None:
    model, objective = build("beta_tcvae", (6,), num_data=10)
    assert remarks(model, objective, "ddp", Some(0, 2)) == [
        "2 ranks, ddp",
        "TotalCorrelation over each rank's share of a batch",
    ]
    normalised = build("vae", (6,), normalisation="batch").model
    assert remarks(normalised, Elbo(), "fsdp", Some(0, 2))[1] == "BatchNorm1d over each rank's share of a batch"
    assert remarks(build("vae", (6,)).model, Elbo(), "ddp", Some(0, 2)) == ["2 ranks, ddp"]


@pytest.mark.parametrize("environment", [{"WORLD_SIZE": "two"}, {"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "0"}])
def test_half_a_torchrun_is_refused(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="torchrun"), joining():
        pass


def test_a_strategy_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown strategy 'dpp': did you mean 'ddp'"):
        Settings(strategy="dpp")


def test_shares_of_a_pass_alone_change_nothing() -> None:
    assert torch.equal(_weights(run(ALONE)), _weights(run(ALONE)))


def _weights(result: Result) -> Tensor:
    return torch.cat([value.flatten() for value in result.state.values()])


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    """The command line on two ranks."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    alone = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    return subprocess.run(
        [*launcher, "-m", "vaekit", *words],
        env={**alone, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_command_line_runs_on_two_ranks_and_speaks_with_one_voice(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=ROWS[:80].numpy(), x_test=ROWS[80:].numpy())
    small = ["--epochs", "2", "--samples", "5", "--device", "cpu", "--model.latent", "2", "--model.hidden", "8"]
    words = ["fit", str(tmp_path / "rows.npz"), "--out", str(tmp_path / "run"), "--batch-size", "16", *small]
    done = torchrun(*words)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines().count("2 ranks, ddp") == 1
    assert done.stdout.count("report: ") == 1
    epochs = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [(epoch["epoch"], epoch["examples"]) for epoch in epochs] == [(1, 72), (2, 72)]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]["rows"] == 19
    again = torchrun(*words)
    assert again.returncode
    told = [line for line in again.stderr.splitlines() if line.startswith("vaekit: ")]
    assert len(told) == 1
    assert "already exists" in told[0]
