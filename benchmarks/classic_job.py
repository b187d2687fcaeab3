"""The classic job, 784-400-20 on MNIST's 60,000 at batch 128 with Adam 1e-3, several ways in one run.

    python benchmarks/classic_job.py                 # on whatever device there is
    python benchmarks/classic_job.py --device cuda --epochs 10

`tutorial` is the loop as tutorials write it: every image converted by itself inside a DataLoader, a sigmoid,
`binary_cross_entropy`. `tensors` is the same loop over tensors already converted, `resident` over batches cut from one
tensor on the device and with a fused Adam: about the best that a hand-written loop does. `pythae` is that package's
trainer, where it is installed. `vaekit` is `vaekit.fit` as it comes, `vaekit bf16` with its nets in bfloat16, compiled
or not, and on a GPU `vaekit 1024` with a batch of 1024. The candidates take turns, round after round; medians of the
epochs after the first of each turn are compared, and the test losses of the last round stand beside them. The record
goes to benchmarks/results/classic_job.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import records
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import vaekit
from vaekit.data import load_data
from vaekit.train import describe, device_named

BATCH, RATE = 128, 1e-3
Timed = tuple[list[float], float]
"""Seconds of each epoch, and the test loss in nats."""


class Tutorial(nn.Module):
    """The model as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = F.relu(self.fc1(x.view(-1, 784)))
        mean, log_variance = self.fc21(h), self.fc22(h)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mean, log_variance


def loss(output: tuple[Tensor, Tensor, Tensor], x: Tensor) -> Tensor:
    """The summed negative ELBO of a batch."""
    reconstruction, mean, log_variance = output
    cross_entropy = F.binary_cross_entropy(reconstruction, x.view(-1, 784), reduction="sum")
    return cross_entropy - 0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())


class Pictures(Dataset[Tensor]):
    """Images converted one by one, when they are asked for."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        picture = Image.fromarray(self.images[index].numpy())
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        return pixels.view(1, 28, 28).to(torch.float32).div(255)


class Resident:
    """Batches of converted images that lie on the device."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __iter__(self) -> Iterator[Tensor]:
        for rows in torch.randperm(len(self.images), device=self.images.device).split(BATCH):
            yield self.images[rows]


def by_hand(
    loader: Iterable[Tensor], test: Tensor, device: torch.device, epochs: int, fused: bool | None = None
) -> Timed:
    """Seconds of each epoch of the hand-written loop, and its test loss in nats per example."""
    torch.manual_seed(0)
    model = Tutorial().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=fused)
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        for x in loader:
            x = x.to(device)
            optimizer.zero_grad()
            value = loss(model(x), x)
            value.backward()
            value.item()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    with torch.no_grad():
        return seconds, float(loss(model(test.to(device)), test.to(device)) / len(test))


def by_pythae(train: Tensor, test: Tensor, device: torch.device, epochs: int) -> Timed:
    """Seconds of each epoch of pythae's trainer, and its test loss."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.body, self.mean, self.spread = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)

        def forward(self, x: Tensor) -> Any:
            h = F.relu(self.body(x))
            return ModelOutput(embedding=self.mean(h), log_covariance=self.spread(h))

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.net = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.net(z))

    class Clock(TrainingCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.times = [time.perf_counter()]

        def on_epoch_end(self, *_: object, **__: object) -> None:
            self.times.append(time.perf_counter())

    clock = Clock()
    config = VAEConfig(input_dim=(784,), latent_dim=20, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as place:
        trainer = BaseTrainer(
            model=model,
            train_dataset=BaseDataset(train.reshape(-1, 784), torch.zeros(len(train))),
            training_config=BaseTrainerConfig(
                output_dir=place,
                num_epochs=epochs,
                learning_rate=RATE,
                per_device_train_batch_size=BATCH,
                no_cuda=device.type != "cuda",
            ),
            callbacks=[clock],
        )
        trainer.train()
    seconds = [after - before for before, after in pairwise(clock.times)]
    model = trainer.model.eval()
    with torch.no_grad():
        value = model({"data": test.reshape(-1, 784).to(device)}).loss
    return seconds, float(value)


def by_vaekit(device: torch.device, epochs: int, **settings: Any) -> Timed:
    """Seconds of each epoch of `vaekit.fit`, and its test loss."""
    data = load_data("mnist")
    assert data.test is not None
    model, objective = vaekit.build("vae", data.train.event_shape)
    settings = {"batch_size": BATCH, **settings}
    fitted = vaekit.fit(
        model, objective, data, max_epochs=epochs, validation=0.0, device=str(device), verbose=False, **settings
    )
    return [epoch.seconds for epoch in fitted.history], -fitted.evaluate(data.test, samples=1).terms.elbo


def candidates(device: torch.device, epochs: int) -> dict[str, Callable[[], Timed]]:
    """What takes turns."""
    data = load_data("mnist")
    assert data.test is not None
    train, test = data.train.x[:, 0], data.test.x.float() / 255
    greys = data.train.x.float() / 255
    found: dict[str, Callable[[], Timed]] = {
        "tutorial": lambda: by_hand(DataLoader(Pictures(train), BATCH, shuffle=True), test, device, epochs),
        "tensors": lambda: by_hand(
            DataLoader(TensorDataset(greys), BATCH, shuffle=True, collate_fn=_stack), test, device, epochs
        ),
    }
    found["resident"] = lambda: by_hand(Resident(greys.to(device)), test, device, epochs, fused=True)
    if find_spec("pythae"):
        found["pythae"] = lambda: by_pythae(greys, test, device, epochs)
    found["vaekit"] = lambda: by_vaekit(device, epochs)
    found["vaekit, compiled"] = lambda: by_vaekit(device, epochs, compile=True)
    found["vaekit bf16"] = lambda: by_vaekit(device, epochs, precision="bfloat16")
    found["vaekit bf16, compiled"] = lambda: by_vaekit(device, epochs, precision="bfloat16", compile=True)
    if device.type == "cuda":
        found["vaekit 1024"] = lambda: by_vaekit(device, epochs, batch_size=1024)
    return found


def _stack(rows: list[tuple[Tensor]]) -> Tensor:
    return torch.stack([row[0] for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=int, default=3, help="of each turn")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    device = device_named(asked.device)
    ways = candidates(device, asked.epochs)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, float] = {}
    for _ in range(asked.rounds):
        for name, way in ways.items():
            taken, losses[name] = way()
            seconds[name] += taken[1:] or taken
            print(
                f"{name}: {statistics.median(seconds[name]):.2f} s an epoch, test loss {losses[name]:.2f}", flush=True
            )
    record = {
        "candidates": {
            name: {"seconds": taken, "median": statistics.median(taken), "test_loss": losses[name]}
            for name, taken in seconds.items()
        },
        "epochs": asked.epochs,
        "rounds": asked.rounds,
        "device": describe(device),
        "torch": torch.__version__,
        "spin": os.environ.get("GOMP_SPINCOUNT"),
        "date": datetime.now(UTC).date().isoformat(),
    }
    records.write("classic_job", record)


def told(record: Mapping[str, Any]) -> str:
    """The record as a section of RESULTS.md."""
    spin = "" if record["spin"] is None else f"GOMP_SPINCOUNT={record['spin']} "
    command = f"{spin}python benchmarks/classic_job.py --epochs {record['epochs']} --rounds {record['rounds']}"
    slowest = record["candidates"]["tutorial"]["median"]
    return records.section(
        f"The classic job's speed: {record['device']}, torch {record['torch']}, {record['date']}",
        command,
        ("", "seconds an epoch, median", "the tutorial's time, divided by it", "test loss, nats"),
        (
            (name, f"{found['median']:.2f}", f"{slowest / found['median']:.2f}x", f"{found['test_loss']:.2f}")
            for name, found in record["candidates"].items()
        ),
    )


if __name__ == "__main__":
    main()
