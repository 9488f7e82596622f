"""What can be listed, by the word that the command line takes for it."""

from __future__ import annotations

KINDS = {
    "data": "data",
    "measures": "measures",
    "methods": "methods",
    "models": "models",
    "algorithms": "algorithms",
    "schedules": "algorithms/schedules",
    "augment": "data/augment",
    "recipes": "recipes",
}
