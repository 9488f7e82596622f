"""Who does the trials: this process, one after the other, or several processes with one thread each."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thetastar.outer.trying import Record, Task

Hand = Callable[[Task], Record]


def work(hands: Sequence[Hand], ask: Callable[[], Task | None], keep: Callable[[Record], None]) -> None:
    """Every hand asks for a task, does it and has it kept, until none is left.

    `ask` and `keep` are never called by two at once. An interruption or a failure of our own stops all.
    """
    if len(hands) == 1:
        while (task := ask()) is not None:
            keep(hands[0](task))
        return
    lock, troubles = threading.Lock(), list[BaseException]()

    def loop(hand: Hand) -> None:
        try:
            while not troubles:
                with lock:
                    task = ask()
                if task is None:
                    return
                record = hand(task)
                if not troubles:
                    with lock:
                        keep(record)
        except BaseException as trouble:
            troubles.append(trouble)

    threads = [threading.Thread(target=loop, args=(hand,), daemon=True) for hand in hands]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and not troubles:
            for thread in threads:
                thread.join(0.05)
    except KeyboardInterrupt as stop:
        troubles.insert(0, stop)
    if troubles:
        raise troubles[0]


class Process:
    """A process that trains; one that dies is replaced, and its trial has failed.

    Args:
        terms: what `thetastar.outer.trying` reads first.
        log: where it writes what it says beside its answers.
    """

    def __init__(self, terms: Mapping[str, Any], log: Path) -> None:
        self.terms, self.log = dict(terms), log
        self.running: subprocess.Popen[str] | None = None

    def __call__(self, task: Task) -> Record:
        asked = {"number": task.number, "recipe": task.recipe.to_mapping(), "prune": task.prune}
        try:
            process = self.started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer.endswith("\n"):
            code = self.close()
            return Record(task.number, state="failed", reason=f"its process ended with code {code}; see {self.log}")
        return Record(**json.loads(answer))

    def started(self) -> subprocess.Popen[str]:
        if self.running is None:
            threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
            with self.log.open("a") as log:
                self.running = subprocess.Popen(
                    [sys.executable, "-m", "thetastar.outer.trying"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    env={**os.environ, **threads},
                    start_new_session=True,  # Ctrl-C is for the process that hands out the trials
                )
            assert self.running.stdin is not None
            self.running.stdin.write(json.dumps(self.terms) + "\n")
        return self.running

    def close(self) -> int | None:
        """End the process and say the code that it ended with."""
        process, self.running = self.running, None
        if process is None:
            return None
        process.kill()  # does nothing where it has ended by itself
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        return code
