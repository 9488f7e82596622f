"""What comes next, made while what came before is used."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")
TICK = 0.1  # seconds after which a waiting thread looks whether it is still wanted


def ahead(items: Iterable[T], depth: int) -> Generator[T]:
    """The items in their order, up to `depth` of them made ahead by a thread of their own.

    What goes wrong while one is made is raised where it would be taken. The thread ends with the iterator.
    """
    queue: Queue[tuple[bool, Any]] = Queue(depth)
    left = threading.Event()

    def put(found: tuple[bool, Any]) -> bool:
        while not left.is_set():
            try:
                queue.put(found, timeout=TICK)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            there, item = queue.get()
            if there:
                yield item
            elif item is None:
                return
            else:
                raise item
    finally:
        left.set()
        with_nothing(queue)
        thread.join()


def with_nothing(queue: Queue[Any]) -> None:
    """Let go of what nobody will take."""
    while True:
        try:
            queue.get_nowait()
        except Empty:
            return
