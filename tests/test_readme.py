"""The README's Python runs as it stands, on fewer rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import vaekit
from vaekit.data import Splits, load_data

README = Path(__file__).parents[1] / "README.md"


def few_rows(source: str) -> Splits:
    """The data, cut short."""
    whole = load_data(source)
    assert whole.test is not None
    return Splits(whole.train.head(600), whole.test.head(200), whole.name, whole.source)


def test_the_quick_start_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vaekit, "load_data", few_rows, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(
            block.replace("max_epochs=10", "max_epochs=1, verbose=False").replace(
                "people, verbose", "people, max_epochs=2, verbose"
            ),
            names,
        )
    model = names["model"]
    assert isinstance(model, vaekit.VAE)
    assert torch.isfinite(model.trace(torch.rand(5, 784)).log_weight).all()
    assert (tmp_path / "runs" / "mine" / "model.safetensors").exists()
