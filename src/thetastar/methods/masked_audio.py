"""Masked audio: know what stands where a clip was made silent, among all that stands elsewhere in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.losses import full
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import Count, Fraction, Positive

__all__ = ["masked_audio"]


@runtime_checkable
class Hears(Protocol):
    """What a net must offer to be masked: tokens, what embeds them, and what lets them speak to one another."""

    embed: nn.Linear

    def tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of clips, and whether there is sound in each."""
        ...

    def encoded(self, z: Tensor) -> Tensor:
        """Embedded tokens with what they know of one another."""
        ...


class masked_audio(Pretext):
    """L = −mean_{t ∈ M} log (e^{cos(c_t, q_t)/κ} / Σ_{s ∈ M} e^{cos(c_t, q_s)/κ}) over the masked tokens M of a clip.

    Spans of tokens are replaced by one learnt token before the Transformer; c_t is what it makes of place t, linearly,
    and q_t the spectra that stood there, linearly. The other masked tokens of the same clip are the distractors, so
    speaker and noise alone do not help. Silence is neither masked nor a distractor. The paper's learnt code book is
    left out: q is not quantised.

    Args:
        share: of the tokens that are masked, in (0, 1).
        span: tokens that are masked together.
        outputs: entries of c and q.
        temperature: κ > 0.

    Shapes: clips (batch, samples) → features (batch, width).

    Source: Baevski, Zhou, Mohamed and Auli 2020, wav2vec 2.0: a framework for self-supervised learning of speech
    representations.
    """

    kinds = frozenset({"waveform"})
    companions: Mapping[str, Any] = {**Pretext.companions, "model": "audio_transformer"}

    def __init__(
        self, *, share: Fraction = 0.5, span: Count = 3, outputs: Count = 64, temperature: Positive = 0.1
    ) -> None:
        super().__init__()
        self.share, self.span, self.outputs, self.temperature = share, span, outputs, temperature

    @classmethod
    def example(cls) -> Mapping[str, Any]:
        model = {"name": "audio_transformer", "width": 16, "depth": 1, "heads": 2, "bands": 12}
        return {"data": "tones", "model": model, "method": {"name": "masked_audio", "outputs": 16}}

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        if not isinstance(f, Hears):
            got = f"masked_audio with {type(f).__name__}, which has no tokens"
            raise UserError(got, "audio_transformer", "write model=audio_transformer")
        self.mask = nn.Parameter(torch.randn(f.width) * f.width**-0.5)
        self.context = nn.Linear(f.width, self.outputs)
        self.content = nn.Linear(f.embed.in_features, self.outputs)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        assert isinstance(f, Hears)
        tokens, heard = f.tokens(batch["input"])
        masked = spans(heard, self.share, self.span)
        z = f.embed(tokens)
        c = self.context(f.encoded(torch.where(masked[..., None], self.mask.to(z.dtype), z)))
        value, right = told_apart(c, self.content(tokens), masked, self.temperature)
        return value, Aux(log={"accuracy": right, "masked": masked.float().mean()})


def spans(heard: Tensor, share: float, span: int) -> Tensor:
    """Tokens to mask, among those that are heard: each begins a span with the chance that makes `share` of them.

    Shapes: (batch, tokens) → the same.
    """
    begins = torch.rand(heard.shape, device=heard.device) < 1 - (1 - share) ** (1 / span)
    drawn = begins
    for step in range(1, span):
        drawn = drawn | F.pad(begins[:, :-step], (step, 0))
    return drawn & heard


def told_apart(c: Tensor, q: Tensor, masked: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Mean loss over the masked tokens, and how often the right one is nearest; 0 where no clip has two of them.

    Shapes: c and q (batch, tokens, outputs), masked (batch, tokens).
    """
    with torch.autocast(c.device.type, enabled=False):
        c, q = F.normalize(full(c), dim=-1), F.normalize(full(q), dim=-1)
        scores = (c @ q.transpose(1, 2) / temperature).masked_fill(~masked[:, None, :], -1e9)
        own = torch.arange(masked.shape[1], device=masked.device).expand_as(masked)
        each = F.cross_entropy(scores.transpose(1, 2), own, reduction="none")  # (batch, tokens)
        asked = (masked & (masked.sum(1, keepdim=True) > 1)).float()
        count = asked.sum().clamp_min(1)
        right = ((scores.argmax(2) == own) * asked).sum() / count
        return (each * asked).sum() / count, right
