"""From a command line to a verb and an exit code: config file, environment, errors of one line, signals."""

from __future__ import annotations

import os
import signal
import sys
import tomllib
import warnings
from collections.abc import Container, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cyclopts import App, CycloptsError
from cyclopts.config import Dict, Env

from vaekit.common.errors import UsageError, VaekitError
from vaekit.common.telling import is_told_here

INTERRUPTED, TERMINATED = 130, 143
NESTED = "model"
"""The table of a config file that holds the recipe's own settings."""
CONFIG = "config.toml"
"""The file of a run's settings, in its directory."""


class Terminated(BaseException):
    """The process was asked to end."""


def launch(app: App, argv: Sequence[str]) -> int:
    """Run a command line and answer with its exit code; errors are one line on standard error.

    Of several ranks that run the same one tells of an error.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return _run(app, list(argv))
    except (VaekitError, CycloptsError) as error:
        return _complain(error, getattr(error, "exit_code", 2), argv)
    except KeyboardInterrupt as error:
        return _say("interrupted", INTERRUPTED, error)
    except Terminated as error:
        return _say("terminated", TERMINATED, error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _complain(error, 1, argv)


def _run(app: App, argv: list[str]) -> int:
    argv, environment = taking_up(argv), () if resumes(argv) else (Env("VAEKIT_", command=False),)
    argv, settings = with_config(argv, tuple(app))
    file = [Dict(settings, use_commands_as_keys=False, source=config_path(argv))] if settings else []
    app.config, app.suppress_keyboard_interrupt = (*environment, *file), False
    result = app(argv, exit_on_error=False, print_error=False, result_action="return_value")
    return result if isinstance(result, int) else 0


def with_config(argv: list[str], verbs: Container[str] = ()) -> tuple[list[str], dict[str, Any]]:
    """The command line and the settings of its config file.

    The recipe's settings are merged key by key, so that a flag replaces one and leaves the others. Settings that are
    called as a verb is, which cyclopts would leave out, become flags likewise.
    """
    path = config_path(argv)
    if path is None:
        return argv, {}
    settings = read_config(Path(path))
    nested = settings.pop(NESTED, {})
    said = {word.split("=")[0] for word in argv}
    namesakes = {key: settings.pop(key) for key in list(settings) if key in verbs}
    flags = {f"--{NESTED}.{key}": _word(value) for key, value in nested.items()}
    flags |= {f"--{key}": _word(value) for key, value in namesakes.items()}
    added = [word for flag, value in flags.items() if flag not in said for word in (flag, value)]
    return [*argv, *added], settings


def resumes(argv: Sequence[str]) -> bool:
    """Whether a command line takes up a run: its settings are then the run's, and flags, but not the environment's."""
    return _value_of("--resume", argv) is not None


def taking_up(argv: list[str]) -> list[str]:
    """A command line as it is, or one with `--resume` with the run's config file and place added.

    Raises `UsageError` where there is no such run.
    """
    place = _value_of("--resume", argv)
    if place is None:
        return argv
    if config_path(argv) is not None:
        raise UsageError("--resume takes its settings from the run: leave --config out")
    if not (Path(place) / CONFIG).is_file():
        raise UsageError(f"{place} is no run that can be resumed, it has no {CONFIG}: name the --out of an earlier run")
    return [*argv, "--config", str(Path(place) / CONFIG), "--out", place]


def config_path(argv: Sequence[str]) -> str | None:
    """The value of `--config`, if it is given."""
    return _value_of("--config", argv)


def _value_of(flag: str, argv: Sequence[str]) -> str | None:
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == flag:
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


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    if is_told_here(UserWarning()):
        print(f"vaekit: {message}", file=sys.stderr)


def _complain(error: Exception, code: int, argv: Sequence[str]) -> int:
    if "--debug" in argv:
        raise error
    words = " ".join(str(error).split())
    unexpected = "" if isinstance(error, (VaekitError, CycloptsError)) else f"{type(error).__name__}: "
    more = "" if not unexpected else " (run again with --debug for the traceback)"
    return _say(f"{unexpected}{words}{more}", code, error)


def _say(words: str, code: int, error: BaseException) -> int:
    if is_told_here(error):
        print(f"vaekit: {words}", file=sys.stderr)
    return code
