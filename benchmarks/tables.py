"""What a VAE does with tables, beside what is commonly used, on the same splits.

    python benchmarks/tables.py                                       # all that has no record yet: hours on two cores
    python benchmarks/tables.py completion --sets breast red          # one task, some sets
    python benchmarks/tables.py anomalies --methods vaekit --again    # measure again what has a record
    python benchmarks/tables.py anomalies --pyod FOLDER               # where PyOD lies, if it is not installed

Tasks: completion (numbers, missing at random), masking (numbers, missing not at random), mixed (mixed columns, with
published masks), anomalies, synthetic, labels. Each set of a task has its record in benchmarks/results/tables/, written
after each method, so that a run that was interrupted goes on where it was. A method that fails is recorded as failed;
one that is not installed is left out, with a line. `pip install --no-deps --target FOLDER pyod numba llvmlite tqdm` is
all that PyOD needs beside what is here. The data are read from VAEKIT_TEST_DATA (default: shared/data beside the
project).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import records
from tabular.anomalies import Anomalies, add_path
from tabular.completion import Completion
from tabular.labels import Labels
from tabular.masking import Masking
from tabular.mixed import Mixed
from tabular.synthetic import Synthetic
from tabular.task import Absent, Figures, Task

TASKS: Mapping[str, Task[Any]] = {
    task.name: task for task in (Completion(), Masking(), Mixed(), Anomalies(), Synthetic(), Labels())
}


def place(task: Task[Any], on: str) -> str:
    """The name of the record of one set of a task."""
    return f"tables/{task.name}_{on.replace(' %', '').replace(' ', '_')}"


def record_of(task: Task[Any], on: str) -> dict[str, Any]:
    """What was recorded so far."""
    (found,) = records.read(place(task, on)) or [{"task": task.name, "set": on, "methods": {}}]
    return found


def measured(task: Task[Any], on: str, method: str) -> Figures:
    """What a method does on a set, or how it failed."""
    try:
        return {**task.measure(on, task.methods[method]), "date": records.today()}
    except Absent:
        raise
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0], "date": records.today()}


def measure(task: Task[Any], on: str, method: str) -> None:
    """Measure, and write it down beside what others did on this set."""
    try:
        figures = measured(task, on, method)
    except Absent as absent:
        print(f"{task.name}, {on}: {method} is skipped, for want of {absent}", flush=True)
        return
    record = record_of(task, on)
    known = {**record["methods"], method: figures}
    in_order = {name: known[name] for name in task.methods if name in known}
    records.write(place(task, on), {**record, "methods": in_order})
    print(f"{task.name}, {on}, {method}: {_short(figures)}", flush=True)


def _short(figures: Figures) -> str:
    numbers = {name: [round(each, 3) for each in value] for name, value in figures.items() if isinstance(value, list)}
    return str(figures.get("failed", numbers))


def pieces(asked: argparse.Namespace) -> Iterator[tuple[Task[Any], str, str]]:
    """What there is to measure: a task, a set, a method."""
    for task in (TASKS[name] for name in asked.tasks or TASKS):
        for on in (each for each in task.sets if not asked.sets or each in asked.sets):
            for method in (each for each in task.methods if not asked.methods or each in asked.methods):
                if asked.again or method not in record_of(task, on)["methods"]:
                    yield task, on, method


def refuse_strange(parser: argparse.ArgumentParser, what: str, asked: list[str] | None, known: Iterable[str]) -> None:
    """End with what there is to choose from where something else was asked."""
    known = tuple(dict.fromkeys(known))
    for strange in set(asked or ()).difference(known):
        parser.error(f"no {what} {strange!r}: choose from {', '.join(known)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; all of them by default")
    parser.add_argument("--sets", nargs="*", help="names of sets; all of a task's by default")
    parser.add_argument("--methods", nargs="*", help="names of methods; all of a task's by default")
    parser.add_argument("--again", action="store_true", help="measure also what has a record")
    parser.add_argument("--pyod", help="the folder that PyOD was installed into")
    asked = parser.parse_args()
    tasks = [TASKS[name] for name in asked.tasks or TASKS if name in TASKS]
    refuse_strange(parser, "task", asked.tasks, TASKS)
    refuse_strange(parser, "set", asked.sets, (each for task in tasks for each in task.sets))
    refuse_strange(parser, "method", asked.methods, (each for task in tasks for each in task.methods))
    add_path(asked.pyod)
    for piece in pieces(asked):
        measure(*piece)


def told(*found: Mapping[str, Any]) -> str:
    """The records as sections of RESULTS.md."""
    of_task = {name: [record for record in found if record["task"] == name] for name in TASKS}
    return "\n".join(TASKS[name].told(each) for name, each in of_task.items() if each)


if __name__ == "__main__":
    main()
