"""Contrastive training of the tiny CLIP that ships with the package, and of its ResNet twin.

It stands in for a web-scale CLIP: right on crops, never taught anything about dense features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipself_mm.io.atomic_write import atomic_write

from .captions import overlap_targets
from .crops import CaptionedCrops
from .model import build_tiny_clip, normalise_pixels
from .zero_shot import zero_shot_accuracy


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


def contrastive_loss(image: Tensor, text: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """CLIP's symmetric cross entropy with soft targets.

    Args:
        image: Image embeddings, (N, D).
        text: Caption embeddings, (N, D).
        targets: Rows that sum to 1, (N, N); symmetric before that normalisation.
        scale: Factor on the cosines.

    Returns:
        Scalar.
    """
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def train_tiny_clip(
    plan: TrainingPlan,
    work_dir: Path,
    resume: bool = False,
    progress: Callable[..., Iterable] = iter,
    report_every: int = 250,
    report: Callable[[str], None] = print,
    check_scenes: int = 60,
    tower: str = 'vit',
) -> nn.Module:
    """Trains the tiny CLIP.

    Step t depends on (seed, t) and the state before it alone, so that resuming is exact.

    Args:
        plan: The run.
        work_dir: Receives ``checkpoint.pth`` every `report_every` steps, replaced atomically.
        resume: Continue from that checkpoint if there is one.
        progress: Wraps ranges of steps, for example ``tqdm``.
        report_every: Steps between checkpoints and zero-shot checks.
        report: Receives one line a check.
        check_scenes: Held-out scenes of a check.
        tower: Image tower, ``vit`` or ``resnet`` (``IMAGE_TOWERS``).

    Returns:
        The trained model in eval mode.

    Raises:
        ValueError: If the checkpoint to resume belongs to another plan or image tower.
    """
    from open_clip import SimpleTokenizer

    model = build_tiny_clip(plan.seed, tower)
    tokenizer = SimpleTokenizer(context_length=model.context_length)
    optimizer = _optimizer(model, plan)
    checkpoint = Path(work_dir) / 'checkpoint.pth'
    start = 0
    if resume and checkpoint.exists():
        state = torch.load(checkpoint, map_location='cpu', weights_only=True)
        written = (state.get('tower', 'vit'), state['plan'])  # the first ones name no tower
        if written != (tower, asdict(plan)):
            raise ValueError(
                f'{checkpoint} was written by {written}, asked for {(tower, asdict(plan))}'
            )
        model.load_state_dict(state['model'])
        optimizer.load_state_dict(state['optimizer'])
        start = state['step']
    crops = CaptionedCrops(plan.scenes, plan.singles, plan.seed, progress=progress)
    losses: list[float] = []
    for step in progress(range(start, plan.steps)):
        losses.append(_train_step(model, tokenizer, optimizer, crops, plan, step))
        if (step + 1) % report_every == 0 or step + 1 == plan.steps:
            state = {
                'tower': tower,
                'plan': asdict(plan),
                'step': step + 1,
                'model': model.state_dict(),
                'optimizer': optimizer.state_dict(),
            }
            _save(state, checkpoint)
            accuracy = zero_shot_accuracy(
                model.eval(), tokenizer, check_scenes, plan.seed, prompts=slice(8, 10)
            )
            loss = np.mean(losses[-report_every:])
            report(
                f'step {step + 1}: loss {loss:.3f}, scale {model.logit_scale.exp().item():.1f}, '
                f'zero-shot top-1 {accuracy["top1"]:.1f}, top-5 {accuracy["top5"]:.1f}'
            )
    return model.eval()


def _optimizer(model: nn.Module, plan: TrainingPlan) -> torch.optim.Optimizer:
    decayed, free = [], []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim >= 2 and 'embedding' not in name
        (decayed if matrix else free).append(parameter)
    groups = [
        {'params': decayed, 'weight_decay': plan.weight_decay},
        {'params': free, 'weight_decay': 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.lr, betas=(0.9, 0.98), eps=1e-6)


def _train_step(
    model: nn.Module,
    tokenizer: Callable,
    optimizer: torch.optim.Optimizer,
    crops: CaptionedCrops,
    plan: TrainingPlan,
    step: int,
) -> float:
    for group in optimizer.param_groups:
        group['lr'] = plan.lr_at(step)
    batch = crops.batch(step, plan.batch)
    pixels, tokens = normalise_pixels(batch.images), tokenizer(batch.captions)
    targets = torch.from_numpy(overlap_targets(batch.labels))
    model.train()
    with _plain_attention(), torch.autocast('cpu', torch.bfloat16, enabled=plan.bfloat16):
        image = model.encode_image(pixels)
    text = model.encode_text(tokens)  # full precision: torch 2.1 mixes no mask with bf16
    loss = contrastive_loss(image.float(), text.float(), targets, model.logit_scale.exp())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, math.log(100))
    return loss.item()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Turns off the fused attention kernel: in bfloat16 it is slow for short sequences on a CPU."""
    enabled = torch.backends.cuda.flash_sdp_enabled()  # the switch holds for CPU tensors as well
    torch.backends.cuda.enable_flash_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_flash_sdp(enabled)


def _save(state: dict, path: Path) -> None:
    with atomic_write(path) as part, part.open('wb') as file:
        torch.save(state, file)
