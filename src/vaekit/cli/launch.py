"""From a command line to a verb and an exit code: config file, environment, errors of one line, signals."""

from __future__ import annotations

import os
import signal
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cyclopts import App, CycloptsError
from cyclopts.config import Dict, Env

from vaekit.common.errors import UsageError, VaekitError

INTERRUPTED, TERMINATED = 130, 143
NESTED = "model"
"""The table of a config file that holds the recipe's own settings."""


class Terminated(BaseException):
    """The process was asked to end."""


def launch(app: App, argv: Sequence[str]) -> int:
    """Run a command line and answer with its exit code; errors are one line on standard error."""
    spare_the_cores()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(app, list(argv))
    except (VaekitError, CycloptsError) as error:
        return _complain(error, getattr(error, "exit_code", 2), argv)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except Terminated:
        return _say("terminated", TERMINATED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _complain(error, 1, argv)


def spare_the_cores() -> None:
    """Let a thread that waits for another spin for microseconds, not milliseconds, before it sleeps.

    Long spins starve a second process on the same cores; none at all cost half the speed of small steps. The OpenMP
    runtime reads this once, when torch is loaded.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def _run(app: App, argv: list[str]) -> int:
    argv, settings = with_config(argv)
    environment = Env("VAEKIT_", command=False)
    file = [Dict(settings, use_commands_as_keys=False, source=config_path(argv))] if settings else []
    app.config = (environment, *file)
    result = app(argv, exit_on_error=False, print_error=False, result_action="return_value")
    return result if isinstance(result, int) else 0


def with_config(argv: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The command line and the settings of its config file.

    The recipe's settings are merged key by key, so that a flag replaces one and leaves the others.
    """
    path = config_path(argv)
    if path is None:
        return argv, {}
    settings = read_config(Path(path))
    nested = settings.pop(NESTED, {})
    said = {word.split("=")[0] for word in argv}
    flags = {f"--{NESTED}.{key}": _word(value) for key, value in nested.items()}
    added = [word for flag, value in flags.items() if flag not in said for word in (flag, value)]
    return [*argv, *added], settings


def config_path(argv: Sequence[str]) -> str | None:
    """The value of `--config`, if it is given."""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == "--config":
            return value if equals else following
    return None


def read_config(path: Path) -> dict[str, Any]:
    """A TOML file's settings.

    Raises `UsageError` that names the file, and the line where it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"config file {path}: {error.strerror}; give a TOML file that is there") from error
    except ValueError as error:
        raise UsageError(f"config file {path} is not TOML: {error}") from error


def _word(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _complain(error: Exception, code: int, argv: Sequence[str]) -> int:
    if "--debug" in argv:
        raise error
    words = " ".join(str(error).split())
    unexpected = "" if isinstance(error, (VaekitError, CycloptsError)) else f"{type(error).__name__}: "
    more = "" if not unexpected else " (run again with --debug for the traceback)"
    return _say(f"{unexpected}{words}{more}", code)


def _say(words: str, code: int) -> int:
    print(f"vaekit: {words}", file=sys.stderr)
    return code
