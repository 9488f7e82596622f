"""A user's mistake is one line on the error stream and exit code 2; our own mistakes keep their traceback."""

from __future__ import annotations

import errno
import functools
import os
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from thetastar.errors import UserError, nearest

MISTAKE, INTERRUPTED, PIPE_CLOSED = 2, 130, 141

# what a user can mend when the system refuses to read or write; anything else is ours
MENDABLE = {
    errno.ENOSPC: "free some space, then resume the run or choose another --out",
    errno.EDQUOT: "free some of the quota, then resume the run or choose another --out",
    errno.EFBIG: "raise the limit on file sizes or choose another --out",
    errno.EACCES: "choose a place that you may read and write",
    errno.EPERM: "choose a place that you may read and write",
    errno.EROFS: "choose a place that you may write",
    errno.ENOTDIR: "choose a path whose parent is a folder",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOENT: "check the path",
    errno.ENAMETOOLONG: "choose a shorter path",
}


def fail(line: str, code: int = MISTAKE) -> NoReturn:
    """End the command with one line."""
    print("theta: " + " ".join(line.split()), file=sys.stderr)
    raise typer.Exit(code)


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with its user's mistakes, interruptions and full disks said in one line."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except UserError as error:
            fail(str(error))
        except KeyboardInterrupt as stop:
            fail(str(stop) or "interrupted", INTERRUPTED)
        except (RuntimeError, MemoryError) as error:
            from thetastar.execution import ran_out

            if not ran_out(error):
                raise
            first = str(error).strip().split("\n")[0]
            fail(f"out of memory{first and ': '}{first}; free some, or take a smaller data.batch_size")
        except BrokenPipeError:
            _deafen()
            raise typer.Exit(PIPE_CLOSED) from None
        except OSError as error:
            if error.errno not in MENDABLE:
                raise
            where = f": {error.filename}" if error.filename else ""
            fail(f"{error.strerror}{where}; {MENDABLE[error.errno]}")

    return run


def _deafen() -> None:
    """Nobody listens any more; what is still buffered must not raise when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# typer carries its own click in some versions and imports it in others: found through a class that it always exports
UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def usage_line(error: Any) -> str:
    """What was wrong with the words of the command line, with the nearest valid ones."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "theta"
    message = re.sub(r"\s+", " ", error.format_message()).strip()
    word = getattr(error, "option_name", None)
    if word and "no such option" in message.lower() and context:
        valid = [name for option in context.command.params for name in option.opts if name.startswith("--")]
        message = f"no such option {word}; {nearest(word, [*valid, '--help'])}"
    return f"{message[0].lower()}{message[1:].rstrip('.')}; see `{command} --help`"
