"""A single decision tree, grown by scikit-learn, evaluated as tensors and read as rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.gathering import gathered, in_deviations, label_logits, vote_logits
from thetastar.functional.keys import mix
from thetastar.functional.trees import from_tree
from thetastar.layers.ends import flat_size, known_target, only_input
from thetastar.layers.trees import Trees
from thetastar.protocols import Clock, Model, Schema, Stream
from thetastar.registry import Count, NonNegative, Positive

__all__ = ["decision_tree"]


class decision_tree(Model):
    """Decision tree: each split x_j ≤ s lowers Σ_sides n_side · I(side) most, until leaves are pure or too small.

    I is the Gini impurity Σ_c p_c (1 − p_c), the entropy −Σ_c p_c log₂ p_c, or for numbers the variance, of several in
    units of each one's deviation. A leaf of n rows answers with their mean, or with their class shares smoothed as
    (n_c + λ/C) / (n + λ): the class is that of the majority, no probability is 0.

    Args:
        schema: any input of one tensor.
        criterion: I of classes and labels; numbers have the variance.
        max_depth: questions on the way to a leaf, at most; null asks until leaves are pure or too small.
        min_leaf: fewest examples in a leaf.
        pruning: α ≥ 0, what a leaf costs: subtrees that lower the impurity, as a share of all rows, by less are cut.
        prior: λ > 0, the weight in examples of one that is of every opinion.

    Shapes: (batch, …) → (batch, outputs).

    Source: Breiman, Friedman, Olshen and Stone 1984, Classification and regression trees; Quinlan 1986, Induction of
    decision trees.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "absorb"}

    def __init__(
        self,
        schema: Schema,
        *,
        criterion: Literal["gini", "entropy"] = "gini",
        max_depth: Count | None = None,
        min_leaf: Count = 5,
        pruning: NonNegative = 0.0,
        prior: Positive = 1.0,
    ) -> None:
        super().__init__()
        field, self.target = only_input(schema, "decision_tree"), known_target(schema, "decision_tree")
        self.outputs, self.prior, self.criterion = schema.outputs, prior, criterion
        self.options = {"max_depth": max_depth, "min_samples_leaf": min_leaf, "ccp_alpha": pruning}
        self.trees = Trees()
        self.width = flat_size(field)
        self.names = field.names if len(field.names) == self.width else [f"x[{i}]" for i in range(self.width)]
        self.head = nn.Identity()

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def absorb(self, stream: Stream, t: Clock) -> None:
        """Grow the tree on the training split."""
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        x, y = gathered(stream, "train", t)
        y, spread = in_deviations(y) if self.target.kind == "number" else (y, y.new_ones(()))
        rows, answers = self.features(x).cpu().numpy(), y.cpu().numpy().squeeze()
        seed = mix(t.seed, "tree") % 2**32  # decides between splits that are equally good
        if self.target.kind == "number":
            tree = DecisionTreeRegressor(**self.options, random_state=seed).fit(rows, answers).tree_
            value = tree.value[:, :, 0] * spread.cpu().numpy()
        else:
            grown = DecisionTreeClassifier(criterion=self.criterion, **self.options, random_state=seed)
            tree = grown.fit(rows, answers.astype(np.int64)).tree_
            value = self._members(tree.value, grown.classes_) * tree.weighted_n_node_samples[:, None]
        # the last entry of a leaf is how many training rows are in it
        counted = np.concatenate([value, tree.weighted_n_node_samples[:, None]], 1)
        self.trees.plant(from_tree(tree, counted), x)

    def _members(self, shares: NDArray[np.float64], seen: Any) -> NDArray[np.float64]:
        """(nodes, classes): the share of each class or label, also of those that are absent from training."""
        found = np.zeros((len(shares), self.outputs))
        if self.target.kind == "category":
            found[:, seen] = shares[:, 0]
            return found
        for label, values in enumerate(seen if isinstance(seen, list) else [seen]):
            if 1 in values:
                found[:, label] = shares[:, label, list(values).index(1)]
        return found

    def forward(self, x: Tensor) -> Tensor:
        leaf = self.trees(x)[:, 0]  # (batch, outputs + 1)
        answers, count = leaf[:, :-1], leaf[:, -1:]
        if self.target.kind == "number":
            return answers.reshape(len(x), *self.target.shape)
        return (label_logits if self.target.kind == "categories" else vote_logits)(answers, count, self.prior)

    def rules(self, most: int = 200) -> str:
        """The tree as indented text, a question or an answer a line; beyond `most` lines it says how many are left."""
        if self.trees.roots is None:
            raise UserError("there is no tree yet", "a trained model", "train it with method absorb")
        tree = {name: table.tolist() for name, table in self.trees.named_buffers() if name != "value"}
        lines: list[str] = []
        waiting = [(0, 0, "")]  # (node, depth, question), a stack: no tree is too deep for it
        while waiting:
            node, depth, question = waiting.pop()
            left, right = tree["left"][node], tree["right"][node]
            answer = f": {self._answer(tree['leaf'][node])}" if left == node else ":" if question else ""
            if question or answer:
                lines.append("│ " * (depth - 1) + (question or "always") + answer)
            if left != node:
                name, limit = self.names[tree["feature"][node]], f"{tree['threshold'][node]:.6g}"
                waiting += [(right, depth + 1, f"{name} > {limit}"), (left, depth + 1, f"{name} ≤ {limit}")]
        rest = [f"… and {len(lines) - most:,} more lines"] if len(lines) > most else []
        return "\n".join(lines[:most] + rest)

    def _answer(self, leaf: int) -> str:
        """What a leaf says, and of how many training rows."""
        *answers, count = self.trees.value[leaf].tolist()
        of = f"({count:,.0f} rows)"
        if self.target.kind == "number":
            return f"{', '.join(f'{value:.6g}' for value in answers)} {of}"
        names = self.target.names or tuple(str(number) for number in range(self.outputs))
        if self.target.kind == "categories":
            there = [name for name, members in zip(names, answers, strict=True) if 2 * members > count]
            return f"{', '.join(there) or 'no label'} {of}"
        best = int(torch.tensor(answers).argmax())
        return f"{names[best]} ({answers[best]:,.0f} of {count:,.0f} rows)"
