"""When does one learner beat another? Intervals and tests that carry every variance that a comparison has.

A measured difference varies for two reasons: other test examples would have been harder for one learner, and other
seeds (initialisation, order, dropout; where splits are redrawn also the training sample) would have trained other
stars. A test that sees only one of them is wrong too often: McNemar's test on one pair of stars says nothing of the
method behind them (Dietterich 1998), a t-test over seeds on one test set nothing of other examples (Bouthillier et al.
2021, Accounting for variance in machine learning benchmarks).

**One fixed split.** d[s, i] is the difference of seed s on test example i, in the two-way random-effects layout

    d[s, i] = δ + aᵢ + b_s + e[s, i],    Var d̄ = σ_a²/n + σ_b²/S + σ_e²/(nS),

whose components come from mean squares (Searle, Casella and McCulloch 1992). The seeds' share has S − 1 degrees of
freedom and the examples' n − 1, and each is multiplied by its own t quantile (Cochran 1964),
H² = t²_{n−1} V_a + t²_{S−1} V_b: pooling the degrees of freedom (Satterthwaite 1946) understates the far tails that
many pairs need when seeds are few. A seed mean square that is small by chance would hide σ_b, so a share of it always
counts as the seeds' own: a quarter, and all of it below four seeds (both found by simulation; see the tests).
Assumptions: test examples are independent draws, the seeds of two learners are independent, n is large enough for
means to be normal. Right-or-wrong outcomes are coarse, so they get a continuity correction of 1/n (Edwards 1948) and
at least the variance of one discordant example.

**A new split a seed.** Splits overlap, so their differences are correlated and a plain t-test is far too sure. The
corrected resampled t-test (Nadeau and Bengio 2003) uses Var d̄ = (1/S + n_test/n_train) s² with S − 1 degrees.

**Many pairs.** Holm's (1979) step-down correction keeps the chance of any wrong verdict at or below α, however the
pairs depend on one another.

Every function works on arrays with leading axes, so that the simulations that test them are one call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ALPHA = 0.05  # chance of any wrong verdict in a comparison without differences
POWER = 0.8
AFFORDABLE_EXAMPLES, AFFORDABLE_SEEDS, AFFORDABLE_FACTOR = 100_000, 200, 20

Array = NDArray[np.float64]
Remedy = Literal["examples", "seeds", "both", "none"]


@dataclass(frozen=True)
class Components:
    """Variances of one difference d[s, i]: of examples, of seeds, and what is left."""

    examples: Array
    seeds: Array
    residual: Array


@dataclass(frozen=True)
class Spread:
    """How far an estimate may be off: variances with degrees of freedom, and a continuity correction.

    Attributes:
        variances: of the estimate, one a source.
        degrees: of freedom, one a source.
        slack: what a coarse outcome adds to every half-width.
    """

    variances: tuple[Array, ...]
    degrees: tuple[float, ...]
    slack: float = 0.0

    def half(self, alpha: Any = ALPHA) -> Array:
        """Half-width of the interval at confidence 1 − α: slack + √Σ t²_{df}(1 − α/2) V."""
        pairs = zip(self.variances, self.degrees, strict=True)
        squares = [stats.t.isf(np.asarray(alpha) / 2, df) ** 2 * variance for variance, df in pairs]
        return self.slack + np.sqrt(np.sum(squares, axis=0))

    def p(self, effect: Any) -> Array:
        """The smallest α whose interval around `effect` leaves out 0, by bisection on log α (two-sided)."""
        size = np.abs(np.asarray(effect, dtype=np.float64))
        low, high = np.full(size.shape, -15.0), np.zeros(size.shape)
        for _ in range(40):
            middle = (low + high) / 2
            covers = self.half(10.0**middle) >= size
            low, high = np.where(covers, middle, low), np.where(covers, high, middle)
        return 10.0**high


def mean_squares(d: Array) -> tuple[Array, Array, Array]:
    """Mean squares between examples, between seeds and of the residual of d (…, seeds, examples); S, n ≥ 2."""
    seeds, examples = d.shape[-2:]
    mean = d.mean((-1, -2), keepdims=True)
    of_example, of_seed = d.mean(-2, keepdims=True), d.mean(-1, keepdims=True)
    between_examples = seeds * np.square(of_example - mean).sum((-1, -2)) / (examples - 1)
    between_seeds = examples * np.square(of_seed - mean).sum((-1, -2)) / (seeds - 1)
    left = np.square(d - of_example - of_seed + mean).sum((-1, -2)) / ((examples - 1) * (seeds - 1))
    return between_examples, between_seeds, left


def seed_share(seeds: int) -> float:
    """The share of the seed mean square that counts as the seeds' own at least."""
    return 1.0 if seeds < 4 else 0.25


def components(d: Array) -> Components:
    """σ_a², σ_b², σ_e² estimated from d (…, seeds, examples), cut at 0; one seed leaves σ_b² and σ_e² unknown, at 0."""
    seeds, examples = d.shape[-2:]
    if seeds == 1:
        variance = d[..., 0, :].var(-1, ddof=1)
        return Components(variance, np.zeros_like(variance), np.zeros_like(variance))
    of_examples, of_seeds, left = mean_squares(d)
    return Components(np.maximum(of_examples - left, 0) / seeds, np.maximum(of_seeds - left, 0) / examples, left)


def is_binary(d: Array) -> bool:
    """Whether these are outcomes, or differences of outcomes, that are right or wrong."""
    return bool(np.isin(d, (-1.0, 0.0, 1.0)).all())


def fixed_spread(d: Array, binary: bool) -> Spread:
    """The spread of the mean of d (…, seeds, examples) on one split. With one seed it speaks of that one star only."""
    seeds, examples = d.shape[-2:]
    assert examples >= 2, "one test example has no variance"
    cells = seeds * examples
    if seeds == 1:
        by_examples = d[..., 0, :].var(-1, ddof=1) / examples
    else:
        between_examples, between_seeds, left = mean_squares(d)
        by_examples = between_examples / cells
        by_seeds = np.maximum(between_seeds - left, seed_share(seeds) * between_seeds) / cells
    slack = 1.0 / examples if binary else 0.0
    if binary:
        by_examples = np.maximum(by_examples, 1.0 / examples**2)
    if seeds == 1:
        return Spread((by_examples,), (examples - 1.0,), slack)
    return Spread((by_examples, by_seeds), (examples - 1.0, seeds - 1.0), slack)


def resplit_spread(m: Array, n_train: int, n_test: int, binary: bool) -> Spread:
    """The spread of the mean of m (…, splits), one mean difference a random split (Nadeau and Bengio 2003)."""
    splits = m.shape[-1]
    assert splits >= 2, "one split has no variance"
    variance = m.var(-1, ddof=1)
    if binary:
        variance = np.maximum(variance, 1.0 / (n_test**2 * splits))  # as if one example of one split had differed
    return Spread(((1.0 / splits + n_test / n_train) * variance,), (splits - 1.0,))


def holm(p: Array) -> Array:
    """p-values adjusted for all comparisons along the last axis (Holm 1979): reject where ≤ α."""
    count = p.shape[-1]
    order = np.argsort(p, axis=-1)
    stepped = np.take_along_axis(p, order, -1) * (count - np.arange(count))
    adjusted = np.minimum(np.maximum.accumulate(stepped, -1), 1.0)
    return np.take_along_axis(adjusted, np.argsort(order, axis=-1), -1)


# --- one learner alone -----------------------------------------------------------------------------------------------


def wilson(share: float, size: float, z: float = 1.959964) -> tuple[float, float]:
    """The score interval of a share out of `size` draws (Wilson 1927); stays in [0, 1] and has a width at 0 and 1."""
    centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return float(min(max(centre - half, 0.0), share)), float(max(min(centre + half, 1.0), share))


def interval(mean: float, spread: Spread, examples: int, binary: bool) -> tuple[float, float]:
    """The 95% interval of one learner's quality.

    A share of right answers gets Wilson's interval at the effective sample size p(1 − p)/V (Korn and Graubard 1998),
    at most the number of test examples; other means get mean ± half-width.
    """
    half = float(spread.half() - spread.slack)
    if not binary:
        return mean - half, mean + half
    size = float(examples)
    if 0 < mean < 1 and half > 0:
        size = min(size, mean * (1 - mean) / (half / 1.959964) ** 2)
    return wilson(mean, size)


# --- how much more would settle it -----------------------------------------------------------------------------------


def power_of(effect: float, spread: Spread, alpha: float) -> float:
    """The chance that a true difference of this size is found: noncentral t, Satterthwaite's degrees of freedom.

    An approximation: the spread stands for its expectation, and other samples will have other spreads.
    """
    total = float(np.sum(spread.variances))
    if total <= 0:
        return float(abs(effect) > spread.slack)
    degrees = total**2 / sum(float(v) ** 2 / df for v, df in zip(spread.variances, spread.degrees, strict=True))
    limit = float(spread.half(alpha)) / np.sqrt(total)
    return float(stats.nct.sf(limit, degrees, abs(effect) / np.sqrt(total)))


def expected_fixed(parts: Components, examples: int, seeds: int, binary: bool) -> Spread:
    """What `fixed_spread` is on average with so many test examples and seeds."""
    left = float(parts.residual) / (examples * seeds)
    by_examples, by_seeds = float(parts.examples) / examples + left, float(parts.seeds) / seeds
    slack = 1.0 / examples if binary else 0.0
    if binary:
        by_examples = max(by_examples, 1.0 / examples**2)
    if seeds == 1:
        return Spread((np.asarray(by_examples),), (examples - 1.0,), slack)
    by_seeds = max(by_seeds, seed_share(seeds) * (by_seeds + left))
    return Spread((np.asarray(by_examples), np.asarray(by_seeds)), (examples - 1.0, seeds - 1.0), slack)


@dataclass(frozen=True)
class Settle:
    """What would settle a pair at the difference that was seen: `number` more of `remedy`."""

    remedy: Remedy
    number: int = 0


def settle_fixed(effect: float, parts: Components, examples: int, seeds: int, binary: bool, alpha: float) -> Settle:
    """More test examples or more seeds on one split for a power of 80%: whichever grows less beside what there is."""

    def power(n: int, s: int) -> float:
        return power_of(effect, expected_fixed(parts, n, s, binary), alpha)

    by_examples = _found("examples", examples, AFFORDABLE_EXAMPLES, lambda n: power(n, seeds))
    by_seeds = _found("seeds", seeds, AFFORDABLE_SEEDS, lambda s: power(examples, s)) if seeds > 1 else None
    if by_examples or by_seeds:
        return _lesser((by_examples, examples), (by_seeds, seeds))
    factor = _smallest(2, AFFORDABLE_FACTOR, lambda k: power(examples * k, seeds * k))
    affordable = factor and examples * factor <= AFFORDABLE_EXAMPLES and seeds * factor <= AFFORDABLE_SEEDS
    return Settle("both", int(factor)) if factor and affordable else Settle("none")


def settle_resplit(effect: float, m: Array, n_train: int, n_test: int, rows: int, binary: bool, alpha: float) -> Settle:
    """More splits or more rows in all, whichever grows less; s² is taken to fall as 1/rows."""
    splits = m.shape[-1]
    floor = 1.0 / (n_test**2 * splits) if binary else 0.0
    variance = max(float(m.var(ddof=1)), floor)

    def power(s: int, n: int) -> float:
        scale = (1.0 / s + n_test / n_train) * variance * rows / n
        return power_of(effect, Spread((np.asarray(scale),), (s - 1.0,)), alpha)

    by_seeds = _found("seeds", splits, AFFORDABLE_SEEDS, lambda s: power(s, rows))
    by_rows = _found("examples", rows, AFFORDABLE_EXAMPLES, lambda n: power(splits, n))
    return _lesser((by_rows, rows), (by_seeds, splits)) if by_rows or by_seeds else Settle("none")


def _lesser(*found: tuple[Settle | None, int]) -> Settle:
    """Of what would settle a pair, what asks for the smaller share of what there is already."""
    return min(((s.number / now, s) for s, now in found if s), key=lambda entry: entry[0])[1]


def _found(remedy: Remedy, now: int, affordable: int, power: Callable[[int], float]) -> Settle | None:
    enough = _smallest(now + 1, affordable, power)
    return Settle(remedy, two_digits(enough - now)) if enough else None


def _smallest(low: int, high: int, power: Callable[[int], float]) -> int | None:
    """The smallest whole number in [low, high] whose power reaches 80%; None where not even `high` does."""
    if low > high or power(high) < POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return low


def two_digits(number: int) -> int:
    """Rounded up to two significant digits: more would feign precision."""
    unit = 10 ** max(len(str(number)) - 2, 0)
    return -(-number // unit) * unit
