"""Pages that were freed are taken again without a fault."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
{first}
torch.set_num_threads(1)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(10_000_000).add(1)  # two blocks of 38 MiB, above the 32 that glibc learns to keep
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(first: str, **environment: str) -> int:
    """How many pages a process of its own faults in where it takes 380 MiB again that it took before."""
    told = subprocess.run(
        (sys.executable, "-c", FAULTS.format(first=first)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(told.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings")
def test_freed_pages_are_kept_unless_the_environment_says_how_to_allocate() -> None:
    taken_anew = faults("")
    if taken_anew < 1_000:
        pytest.skip("another allocator keeps them by itself")
    assert faults("import vaekit") < taken_anew / 2
    assert faults("import vaekit", MALLOC_TRIM_THRESHOLD_="1000000") > taken_anew / 2
