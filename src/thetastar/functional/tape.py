"""Reverse-mode differentiation in the open: arrays that remember how they came about.

Every operation leaves a `Value` with links to its arguments; a link knows the local derivative and how a gradient comes
back through it. `backpropagate` walks the links from the last value to the first: v̄ ← v̄ + ū · ∂u/∂v.

Source: Griewank and Walther 2008, Evaluating derivatives, chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Link:
    """An argument of an operation.

    Attributes:
        local: ∂u/∂v entry by entry; of a product of matrices the other factor, transposed.
        words: the same as an expression.
        side: on which side of the gradient `local` stands in a product of matrices, "" entry by entry.
    """

    argument: Value
    local: Array
    words: str
    side: str = ""

    def back(self, gradient: Array) -> Array:
        """ū · ∂u/∂v, in the shape of v."""
        if self.side:
            return self.local @ gradient if self.side == "left" else gradient @ self.local
        return summed(gradient * self.local, self.argument.data.shape)


def summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Over the axes along which an array of `shape` was repeated."""
    extra = gradient.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1)
    return gradient.sum(axis=axes, keepdims=True).reshape(shape) if axes else gradient


@dataclass(eq=False)
class Value:
    """u = operation(arguments), its value, and the gradient of the end with respect to it."""

    data: Array
    name: str = ""
    formula: str = ""
    links: tuple[Link, ...] = ()
    gradient: Array = field(default_factory=lambda: np.zeros(()))

    def __post_init__(self) -> None:
        self.data = np.asarray(self.data, dtype=np.float64)

    def named(self, name: str) -> Value:
        self.name = name
        return self

    def __add__(self, other: Value) -> Value:
        one, two = np.ones_like(self.data), np.ones_like(other.data)
        links = (Link(self, one, "1"), Link(other, two, "1"))
        return Value(self.data + other.data, formula=f"{self.name} + {other.name}", links=links)

    def __sub__(self, other: Value) -> Value:
        one, two = np.ones_like(self.data), -np.ones_like(other.data)
        links = (Link(self, one, "1"), Link(other, two, "−1"))
        return Value(self.data - other.data, formula=f"{self.name} − {other.name}", links=links)

    def __mul__(self, other: Value) -> Value:
        links = (Link(self, other.data, other.name), Link(other, self.data, self.name))
        return Value(self.data * other.data, formula=f"{self.name} · {other.name}", links=links)

    def __matmul__(self, other: Value) -> Value:
        """AB: Ā = ūBᵀ, B̄ = Aᵀū."""
        links = (
            Link(self, other.data.T, f"· {other.name}ᵀ", "right"),
            Link(other, self.data.T, f"{self.name}ᵀ ·", "left"),
        )
        return Value(self.data @ other.data, formula=f"{self.name} {other.name}", links=links)

    def _entrywise(self, data: Any, formula: str, local: Any, words: str) -> Value:
        return Value(data, formula=formula, links=(Link(self, np.asarray(local, dtype=np.float64), words),))

    def times(self, factor: float) -> Value:
        local = np.full_like(self.data, factor)
        return self._entrywise(factor * self.data, f"{factor:g} · {self.name}", local, f"{factor:g}")

    def exp(self) -> Value:
        u = np.exp(self.data)
        return self._entrywise(u, f"exp {self.name}", u, f"exp {self.name}")

    def log(self) -> Value:
        return self._entrywise(np.log(self.data), f"log {self.name}", 1 / self.data, f"1 / {self.name}")

    def square(self) -> Value:
        return self._entrywise(self.data**2, f"{self.name}²", 2 * self.data, f"2 {self.name}")

    def tanh(self) -> Value:
        u = np.tanh(self.data)
        return self._entrywise(u, f"tanh {self.name}", 1 - u**2, f"1 − tanh² {self.name}")

    def relu(self) -> Value:
        return self._entrywise(np.maximum(0, self.data), f"relu {self.name}", self.data > 0, f"1[{self.name} > 0]")

    def sigmoid(self) -> Value:
        u = sigmoid(self.data)
        return self._entrywise(u, f"σ({self.name})", u * (1 - u), "σ (1 − σ)")

    def softplus(self) -> Value:
        u = np.logaddexp(0, self.data)
        return self._entrywise(u, f"log(1 + exp {self.name})", sigmoid(self.data), f"σ({self.name})")

    def log_sum_exp(self) -> Value:
        """log Σ_j exp v_j of each row; its derivative is the softmax. (rows, columns) → (rows, 1)."""
        top = self.data.max(-1, keepdims=True)
        u = top + np.log(np.exp(self.data - top).sum(-1, keepdims=True))
        return self._entrywise(u, f"log Σ exp {self.name}", np.exp(self.data - u), f"softmax {self.name}")

    def inner(self, weights: Array, name: str) -> Value:
        """Σ_j y_j v_j of each row, y given. (rows, columns) → (rows, 1)."""
        u = (weights * self.data).sum(-1, keepdims=True)
        return self._entrywise(u, f"Σ {name} · {self.name}", weights, name)

    def sum(self) -> Value:
        return self._entrywise(self.data.sum(), f"Σ {self.name}", np.ones_like(self.data), "1")

    def mean(self) -> Value:
        local = np.full_like(self.data, 1 / self.data.size)
        return self._entrywise(self.data.mean(), f"mean {self.name}", local, f"1/{self.data.size}")


def sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def ordered(end: Value) -> list[Value]:
    """All values that `end` came from, arguments before results, itself last."""
    seen: set[int] = set()
    order: list[Value] = []

    def visit(value: Value) -> None:
        if id(value) not in seen:
            seen.add(id(value))
            for link in value.links:
                visit(link.argument)
            order.append(value)

    visit(end)
    return order


def backpropagate(end: Value) -> list[Value]:
    """Fill in `gradient` of every value; the values in the order of the visit, `end` first.

    A value is visited after everything that used it, so its gradient is complete by then.
    """
    order = ordered(end)[::-1]
    for value in order:
        value.gradient = np.zeros_like(value.data)
    end.gradient = np.ones_like(end.data)
    for value in order:
        for link in value.links:
            link.argument.gradient = link.argument.gradient + link.back(value.gradient)
    return order
