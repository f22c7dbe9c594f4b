"""The hyperparameters of the tiny CLIP's training."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingPlan:
    """What a training run depends on.

    Attributes:
        steps: Optimizer steps.
        restart: Step at which the learning rate has come down to 0 and starts again from half its
            peak; no restart if `steps` is not above it.
        batch: Images a step.
        scenes: Scenes in the pool crops are cut from.
        singles: Renders of single objects in the pool.
        lr: Peak learning rate, reached after `warmup` steps, then cosine to 0.
        warmup: Steps of linear warm-up.
        weight_decay: Decay of matrices, embeddings excepted.
        seed: Seed of scenes, crops, captions and initial weights.
        bfloat16: Run the forward pass in bfloat16 autocast.
    """

    steps: int = 3000
    restart: int = 2200
    batch: int = 128
    scenes: int = 3000
    singles: int = 3000
    lr: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.05
    seed: int = 0
    bfloat16: bool = True

    def lr_at(self, step: int) -> float:
        """Learning rate of a step counted from 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if step < self.restart:
            first, last, peak = self.warmup, min(self.restart, self.steps), self.lr
        else:
            first, last, peak = self.restart, self.steps, self.lr / 2
        progress = (step - first) / max(1, last - first)
        return peak * 0.5 * (1 + math.cos(math.pi * progress))
