"""How the weight of a part of a loss rises over a run."""

from __future__ import annotations

import math

from thetastar.protocols import Clock


def linear(t: Clock, ramp: float, start: float = 0.0) -> float:
    """s = (progress − start) / ramp within [0, 1]: 0 up to the share `start` of the run, 1 a share `ramp` later."""
    past = t.progress - start
    if past >= ramp:
        return 1.0
    return past / ramp if past > 0 else 0.0


def gaussian(t: Clock, ramp: float) -> float:
    """e^{−5(1 − s)²}, s rising from 0 to 1 over the first share `ramp` of the run: from 0.007 to 1, at last flat.

    Source: Laine and Aila 2017, Temporal ensembling for semi-supervised learning.
    """
    return math.exp(-5 * (1 - linear(t, ramp)) ** 2)
