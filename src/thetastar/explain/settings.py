"""Words after a topic, as settings: name=value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from thetastar.errors import UserError, nearest


def chosen(
    topic: str,
    arguments: Sequence[str],
    words: Mapping[str, Sequence[str]],
    numbers: Mapping[str, tuple[float, float, float]],
) -> tuple[dict[str, str], dict[str, float]]:
    """What is said of `words` (the choices, the default first) and of `numbers` (default, least, largest)."""
    said = {name: options[0] for name, options in words.items()}
    values = {name: default for name, (default, _, _) in numbers.items()}
    known = [*words, *numbers]
    names = [argument.partition("=")[0] for argument in arguments]
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or name not in known:
            hint = f"write {name}=…" if name in known else nearest(name, known)
            raise UserError(f"{topic} with '{argument}'", f"name=value of {', '.join(known)}", hint)
        if names.count(name) > 1:
            raise UserError(f"{topic} with {name} {names.count(name)} times", "every setting once", "leave one out")
        if name in words:
            if value not in words[name]:
                raise UserError(argument, f"one of {', '.join(words[name])}", nearest(value, words[name]))
            said[name] = value
        else:
            values[name] = _number(argument, value, *numbers[name][1:])
    return said, values


def offers(words: Mapping[str, Sequence[str]], numbers: Mapping[str, tuple[float, float, float]]) -> str:
    """What can be set, in a line."""
    said = [f"{name}={'|'.join(options)}" for name, options in words.items()]
    return "To change: " + ", ".join(said + [f"{name}={default:g}" for name, (default, _, _) in numbers.items()])


def _number(argument: str, value: str, least: float, largest: float) -> float:
    expected = f"a number from {least:g} to {largest:g}"
    try:
        found = float(value)
    except ValueError:
        raise UserError(argument, expected, "write it with digits") from None
    if not math.isfinite(found) or not least <= found <= largest:
        raise UserError(argument, expected, "choose another")
    return found


def row(topic: str, text: str, at_most: int) -> list[float]:
    """'1,2,-0.5' → numbers."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or len(found) > at_most or not all(map(math.isfinite, found)):
        raise UserError(f"{topic} at '{text}'", f"1 to {at_most} numbers", "write them as 1,2,-0.5")
    return found
