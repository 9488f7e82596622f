"""Other trainers as loops over the same net, data in memory and rule; each is imported only where it is installed.

None of them is a dependency. Every adapter follows its library's own first pages, with logging, checkpoints and
evaluation turned off, and calls the given net, so that a stopwatch on its first layer times it as any other loop.
Nothing here knows of thetastar.

    python -m pip install lightning skorch transformers accelerate keras fastai     some or all of them
"""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.loops import Loop, rule

Adapter = Callable[[nn.Module, Tensor, Tensor, int], Loop]


def lightning(f: nn.Module, x: Tensor, y: Tensor, batch_size: int) -> Loop:
    """PyTorch Lightning: a LightningModule and its Trainer."""
    import lightning as L

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    device = next(f.parameters()).device

    class Classifier(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.f = f

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            inputs, targets = batch
            return F.cross_entropy(self.f(inputs), targets)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return rule(self)

    module, source = Classifier(), DataLoader(TensorDataset(x, y), batch_size, shuffle=True)
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")

    def run(steps: int) -> None:
        where = {"accelerator": "gpu" if device.type == "cuda" else "cpu", "devices": 1}
        L.Trainer(max_steps=steps, max_epochs=-1, **where, **dict.fromkeys(off, False)).fit(module, source)

    return run


def skorch(f: nn.Module, x: Tensor, y: Tensor, batch_size: int) -> Loop:
    """skorch: a NeuralNet, fitted in part."""
    from skorch import NeuralNet

    plain = [name for name, p in f.named_parameters() if p.ndim <= 1]
    net = NeuralNet(
        f,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__param_groups=[(name, {"weight_decay": 0.0}) for name in plain],
        optimizer__fused=True,
        lr=1e-3,
        optimizer__weight_decay=1e-2,
        batch_size=batch_size,
        max_epochs=1,
        train_split=None,
        iterator_train__shuffle=True,
        device=str(next(f.parameters()).device),
        verbose=0,
    ).initialize()
    assert net.module_ is f

    def run(steps: int) -> None:
        left = steps * batch_size
        while left > 0:
            net.partial_fit(x[:left], y[:left])
            left -= len(x)

    return run


def transformers(f: nn.Module, x: Tensor, y: Tensor, batch_size: int) -> Loop:
    """The Trainer of Hugging Face transformers."""
    import transformers

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = f

        def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.f(inputs)
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    class Rows(Dataset[dict[str, Tensor]]):
        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            return {"inputs": x[index], "labels": y[index]}

    module, place = Classifier(), tempfile.mkdtemp()
    cuda = next(f.parameters()).device.type == "cuda"

    def run(steps: int) -> None:
        arguments = transformers.TrainingArguments(
            output_dir=place,
            max_steps=steps,
            per_device_train_batch_size=batch_size,
            max_grad_norm=0.0,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not cuda,
            dataloader_pin_memory=cuda,
        )
        optimiser = rule(module)
        constant = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda _: 1.0)
        trainer = transformers.Trainer(module, arguments, train_dataset=Rows(), optimizers=(optimiser, constant))
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()

    return run


def keras(f: nn.Module, x: Tensor, y: Tensor, batch_size: int) -> Loop:
    """Keras on torch: the net as a layer, `fit`, and its own AdamW."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    model = keras.Sequential([keras.Input(tuple(x.shape[1:])), keras.layers.TorchModuleWrapper(f)])
    optimiser = keras.optimizers.AdamW(1e-3, weight_decay=1e-2, epsilon=1e-8)
    optimiser.exclude_from_weight_decay([v for v in model.trainable_variables if len(v.shape) <= 1])
    model.compile(optimiser, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs, targets = x.numpy(), y.numpy()

    def run(steps: int) -> None:
        left = steps * batch_size
        while left > 0:
            model.fit(inputs[:left], targets[:left], batch_size, epochs=1, shuffle=True, verbose=0)
            left -= len(inputs)

    return run


def fastai(f: nn.Module, x: Tensor, y: Tensor, batch_size: int) -> Loop:
    """fastai: DataLoaders and a Learner around the given rule."""
    from fastai.callback.core import Callback, CancelFitException, CancelValidException
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

    device = next(f.parameters()).device
    source = DataLoader(TensorDataset(x, y), bs=batch_size, shuffle=True, num_workers=0, device=device)

    class Until(Callback):
        def __init__(self, steps: int) -> None:
            self.left = steps

        def before_validate(self) -> None:
            raise CancelValidException

        def after_batch(self) -> None:
            self.left -= 1
            if not self.left:
                raise CancelFitException

    def wrapped(*_: Any, **__: Any) -> OptimWrapper:
        return OptimWrapper(opt=rule(f))

    learner = Learner(DataLoaders(source, source, device=device), f, F.cross_entropy, wrapped, lr=1e-3)

    def run(steps: int) -> None:
        with learner.no_logging():  # a bar is there only where its module was imported
            learner.fit(-(-steps * batch_size // len(x)), cbs=[Until(steps)])

    return run


PEERS: dict[str, Adapter] = {
    "lightning": lightning,
    "skorch": skorch,
    "transformers": transformers,
    "keras": keras,
    "fastai": fastai,
}


def installed() -> list[str]:
    """The peers that are here; Trainer needs accelerate beside transformers."""
    beside = {"transformers": "accelerate"}
    here = (name for name in PEERS if importlib.util.find_spec(name))
    return [name for name in here if importlib.util.find_spec(beside.get(name, name))]


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in installed()}
