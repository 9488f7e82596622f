"""Trains recipes in children of its own and kills each just before or after a given file is put in its place.

Orders come as JSON lines on the input stream, the signal that ended the child goes back. It is a process apart because
a process with threads, as a worker of the test runner is, must not fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import torch

from thetastar import star
from thetastar.recipe import Recipe


def train(recipe: str, place: str, moment: int, after: bool) -> None:
    count, plain = 0, Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == moment and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = plain(self, target)
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    Path.replace = replace  # type: ignore[method-assign]
    star.train(Recipe.from_yaml(recipe), Path(place))


def child(order: str) -> int:
    """The child's process number; the child itself never returns."""
    number = os.fork()
    if number:
        return number
    try:
        train(**json.loads(order))
    except BaseException:
        traceback.print_exc()
    os._exit(0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warm = Recipe(data="bars", model="mlp", budget={"steps": 1}, engine={"device": "cpu"})
    with tempfile.TemporaryDirectory() as folder:
        star.train(warm, Path(folder, "run"))  # all that a child needs is imported once
    for line in sys.stdin:
        _, status = os.waitpid(child(line), 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)
