"""The hyperparameters of the tiny CLIP's training."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingPlan:
    """What a training run depends on.

    Attributes:
        steps: Optimizer steps.
        batch: Images a step.
        scenes: Scenes in the pool crops are cut from.
        singles: Renders of single objects in the pool.
        lr: Peak learning rate, reached after `warmup` steps, then cosine to 0.
        warmup: Steps of linear warm-up.
        weight_decay: Decay of matrices, embeddings excepted.
        seed: Seed of scenes, crops, captions and initial weights.
        bfloat16: Run the forward pass in bfloat16 autocast.
    """

    steps: int = 2200
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
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * progress))
