"""Gaussian processes, exact and so for small data: fitted by scikit-learn, evaluated as tensors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.gathering import gathered
from thetastar.functional.keys import mix
from thetastar.layers.ends import Standardise, flat_size, known_target, only_input
from thetastar.protocols import Clock, Model, Schema, Stream
from thetastar.registry import Count

__all__ = ["gaussian_process"]

POINTS = 513  # of the quadrature over the latent value, a 32nd of its deviation apart
TINY = 1e-12  # least probability of a class


class gaussian_process(Model):
    """Gaussian process with covariance k(x, x′) = a² exp(−‖x − x′‖² / 2l²), x standardised.

    Numbers: y = f(x) + noise of deviation s; E f(x*) = k*ᵀ (K + s²I)⁻¹ y, and the deviation of a new y is
    √(a² + s² − k*ᵀ (K + s²I)⁻¹ k*). a, l and s maximise the likelihood of the training rows. Classes: one process each
    against the rest, with the logistic likelihood and Laplace's approximation N(m, v) of the latent value;
    p = ∫ σ(z) N(z; m, v) dz by quadrature, the classes' then divided by their sum. Time grows as rows³.

    Args:
        schema: any input of one tensor; one class or numbers.
        most: training rows at most; more are refused.
        restarts: of the search for a, l and s, from random places.

    Shapes: (batch, …) → (batch, outputs), in float64.

    Source: Rasmussen and Williams 2006, Gaussian processes for machine learning, algorithms 2.1, 3.1 and 3.2.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "absorb"}
    memory: Tensor
    scales: Tensor
    weight: Tensor
    factor: Tensor
    root: Tensor
    units: Tensor
    present: Tensor

    def __init__(self, schema: Schema, *, most: Count = 2000, restarts: int = 0) -> None:
        super().__init__()
        field, target = only_input(schema, "gaussian_process"), known_target(schema, "gaussian_process")
        if target.kind == "categories":
            raise UserError("gaussian_process with several labels an example", "one class or numbers", "choose knn")
        self.kind, self.shape, self.outputs = target.kind, target.shape, schema.outputs
        self.most, self.restarts = most, restarts
        self.standardise = Standardise(field)
        self.width = flat_size(field)
        self.head = nn.Identity()
        for name in ("memory", "scales", "weight", "factor", "root", "units", "present"):
            self.register_buffer(name, None)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": {"name": "blobs", "rows": 60}, "model": cls.__name__}

    def features(self, x: Tensor) -> Tensor:
        return self.standardise(x).flatten(1).double()

    def absorb(self, stream: Stream, t: Clock) -> None:
        """Fit the covariance to the training split and keep what predictions need of it."""
        x, y = gathered(stream, "train", t)
        if len(x) > self.most:
            matrices = 4 + (self.outputs if self.kind == "category" else 1)
            need = f"{len(x):,} training rows need {matrices * len(x) ** 2 / 2**27:.1f} GiB and time as their cube"
            raise UserError(
                f"gaussian_process: {need}", f"at most model.most={self.most:,}", "choose knn or tabular_mlp"
            )
        self.memory = self.features(x)
        seed = mix(t.seed, "gaussian process") % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a scale at the end of its range is no fault of the user's
            (self._numbers if self.kind == "number" else self._classes)(self.memory.cpu().numpy(), y, seed)

    def _numbers(self, x: Any, y: Tensor, seed: int) -> None:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        values = y.double().reshape(len(y), -1)
        mean, std = values.mean(0), values.std(0, correction=0)
        std = torch.where(std > 0, std, torch.ones_like(std))
        kernel = ConstantKernel(1.0) * RBF(max(1.0, self.width**0.5)) + WhiteKernel(1.0)
        process: Any = GaussianProcessRegressor(kernel, n_restarts_optimizer=self.restarts, random_state=seed)
        process.fit(x, ((values - mean) / std).cpu().numpy())
        self._keep(np.exp(process.kernel_.theta)[None], process.alpha_.T.reshape(self.outputs, -1), process.L_[None])
        self.units = torch.stack([mean, std])

    def _classes(self, x: Any, y: Tensor, seed: int) -> None:
        from sklearn.gaussian_process import GaussianProcessClassifier
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel

        kernel = ConstantKernel(1.0) * RBF(max(1.0, self.width**0.5))
        process: Any = GaussianProcessClassifier(kernel, n_restarts_optimizer=self.restarts, random_state=seed)
        process.fit(x, y.cpu().numpy())
        parts = getattr(process.base_estimator_, "estimators_", [process.base_estimator_])
        scales = np.stack([np.exp(part.kernel_.theta) for part in parts])
        self._keep(
            scales, np.stack([part.y_train_ - part.pi_ for part in parts]), np.stack([part.L_ for part in parts])
        )
        self.root = torch.as_tensor(np.stack([part.W_sr_ for part in parts])).to(self.memory)
        self.present = torch.as_tensor(process.classes_, device=self.memory.device)

    def _keep(self, scales: Any, weight: Any, factor: Any) -> None:
        """(processes, a² l s²), (processes, rows) and (processes, rows, rows)."""
        self.scales, self.weight, self.factor = (
            torch.as_tensor(np.ascontiguousarray(one)).to(self.memory) for one in (scales, weight, factor)
        )

    def covariance(self, x: Tensor, process: int) -> Tensor:
        """(batch, …) → (batch, rows) with the training rows."""
        if self.memory is None:
            raise UserError("gaussian_process knows no data yet", "a trained model", "train it with method absorb")
        amplitude, length = self.scales[process, :2]
        distance = torch.cdist(self.features(x), self.memory, compute_mode="donot_use_mm_for_euclid_dist")
        return amplitude * torch.exp(-0.5 * (distance / length).square())

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "number":
            mean, std = self.units if self.units is not None else (0.0, 1.0)
            return (self.covariance(x, 0) @ self.weight.T * std + mean).reshape(len(x), *self.shape)
        ones = torch.stack([self._probability(*self.latent(x, process)) for process in range(len(self.scales))], 1)
        p = torch.cat([1 - ones, ones], 1) if len(self.scales) == 1 else ones / ones.sum(1, keepdim=True)
        whole = p.new_zeros(len(x), self.outputs).index_copy(1, self.present, p)
        return torch.log(whole.clamp_min(TINY))

    def latent(self, x: Tensor, process: int) -> tuple[Tensor, Tensor]:
        """Mean and variance (batch,) of the latent value of one class's process."""
        k = self.covariance(x, process)
        v = torch.linalg.solve_triangular(self.factor[process], self.root[process, :, None] * k.T, upper=False)
        return k @ self.weight[process], (self.scales[process, 0] - v.square().sum(0)).clamp_min(0)

    def _probability(self, mean: Tensor, variance: Tensor) -> Tensor:
        """∫ σ(z) N(z; m, v) dz by trapezoids, which lose next to nothing on functions as smooth as this."""
        u = torch.linspace(-8.0, 8.0, POINTS, dtype=mean.dtype, device=mean.device)
        shares = torch.exp(-u.square() / 2)
        return torch.sigmoid(mean[:, None] + variance.sqrt()[:, None] * u) @ (shares / shares.sum())

    def deviation(self, x: Tensor) -> Tensor:
        """The standard deviation of a new observation at x, in the target's units; numbers only."""
        if self.kind != "number":
            raise UserError("the deviation of a class", "numbers as the target", "use probabilities")
        v = torch.linalg.solve_triangular(self.factor[0], self.covariance(x, 0).T, upper=False)
        variance = (self.scales[0, 0] + self.scales[0, 2] - v.square().sum(0)).clamp_min(0)
        return (variance.sqrt()[:, None] * self.units[1]).reshape(len(x), *self.shape)
