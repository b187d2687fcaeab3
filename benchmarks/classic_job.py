"""The classic job, 784-400-20 on MNIST's 60,000 at batch 128 with Adam 1e-3, three ways in one run.

    python benchmarks/classic_job.py                 # on whatever device there is
    python benchmarks/classic_job.py --device cuda --epochs 10

`tutorial` is the loop as tutorials write it: every image converted by itself inside a DataLoader, a sigmoid,
`binary_cross_entropy`. `tensors` is the same loop over tensors already converted. `vaekit` is `vaekit.fit` as it comes.
The candidates run one after the other; medians of the epochs after the first are compared, and the
test losses stand beside them. The record goes to benchmarks/results/classic_job.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import vaekit
from vaekit.data import load_data
from vaekit.train import describe, device_named

RESULTS = Path(__file__).parent / "results" / "classic_job.json"
BATCH, RATE = 128, 1e-3


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


def by_hand(loader: Iterable[Tensor], test: Tensor, device: torch.device, epochs: int) -> tuple[list[float], float]:
    """Seconds of each epoch of the hand-written loop, and its test loss in nats per example."""
    torch.manual_seed(0)
    model = Tutorial().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
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


def by_vaekit(device: torch.device, epochs: int) -> tuple[list[float], float]:
    """Seconds of each epoch of `vaekit.fit`, and its test loss."""
    data = load_data("mnist")
    assert data.test is not None
    model, objective = vaekit.build("vae", data.train.event_shape)
    fitted = vaekit.fit(
        model, objective, data, max_epochs=epochs, batch_size=BATCH, validation=0.0, device=str(device), verbose=False
    )
    return [epoch.seconds for epoch in fitted.history], -fitted.evaluate(data.test, samples=1).terms.elbo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=int, default=10)
    asked = parser.parse_args()
    device = device_named(asked.device)
    data = load_data("mnist")
    assert data.test is not None
    train, test = data.train.x[:, 0], data.test.x.float() / 255
    tensors = TensorDataset(data.train.x.float() / 255)
    collate: Callable[[list[tuple[Tensor]]], Tensor] = lambda rows: torch.stack([row[0] for row in rows])  # noqa: E731
    candidates: dict[str, Callable[[], tuple[list[float], float]]] = {
        "tutorial": lambda: by_hand(DataLoader(Pictures(train), BATCH, shuffle=True), test, device, asked.epochs),
        "tensors": lambda: by_hand(
            DataLoader(tensors, BATCH, shuffle=True, collate_fn=collate), test, device, asked.epochs
        ),
        "vaekit": lambda: by_vaekit(device, asked.epochs),
    }
    found = {}
    for name, candidate in candidates.items():
        seconds, test_loss = candidate()
        found[name] = {"seconds": seconds, "median": statistics.median(seconds[1:] or seconds), "test_loss": test_loss}
        print(f"{name}: {found[name]['median']:.2f} s an epoch, test loss {test_loss:.2f}", flush=True)
    record = {
        "candidates": found,
        "epochs": asked.epochs,
        "device": describe(device),
        "torch": torch.__version__,
        "spin": os.environ.get("GOMP_SPINCOUNT"),
        "date": datetime.now(UTC).date().isoformat(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
