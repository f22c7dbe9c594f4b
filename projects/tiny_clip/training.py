"""Contrastive training of the tiny CLIP with a ViT or a ResNet as image tower."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipself_mm.io.atomic_write import atomic_write
from clipself_mm.shapes import SHAPES_OV, SceneSet

from .captions import overlap_targets
from .crops import CaptionedCrops
from .model import build_tiny_clip, normalise_pixels
from .zero_shot import zero_shot_accuracy


@dataclass(frozen=True)
class TrainingPlan:
    """Parameters of a training run.

    Attributes:
        steps: Optimizer steps.
        restart: Step at which the cosine schedule ends at 0 and restarts from half the peak; no
            restart if `steps` is not larger.
        batch: Batch size.
        scenes: Number of scenes in the pool.
        singles: Number of renders of single objects in the pool.
        lr: Peak learning rate, reached after `warmup` steps, then cosine to 0.
        warmup: Steps of linear warm-up.
        weight_decay: Weight decay of matrices, except embeddings.
        seed: Seed of scenes, crops, captions and initial weights.
        bfloat16: Run the image tower in bfloat16 autocast.
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
        """Learning rate of a step, 0-based."""
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
        targets: Soft targets, (N, N); rows sum to 1, symmetric before that normalisation.
        scale: Factor of the cosines.

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
    scene_set: SceneSet = SHAPES_OV,
) -> nn.Module:
    """Train the tiny CLIP.

    A step depends only on the seed, its number and the state before it, so resuming is exact.

    Args:
        plan: Parameters of the run.
        work_dir: Folder of ``checkpoint.pth``, written atomically every `report_every` steps.
        resume: Continue from the checkpoint if it exists.
        progress: Wraps iterations over scenes and steps, for example ``tqdm``.
        report_every: Steps between checkpoints and zero-shot checks.
        report: Called with one line per check.
        check_scenes: Number of held-out scenes of a check.
        tower: Image tower, ``vit`` or ``resnet`` (``IMAGE_TOWERS``).
        scene_set: Renderer and classes.

    Returns:
        The trained model in eval mode.

    Raises:
        ValueError: The checkpoint to resume has a different plan, image tower or set of scenes.
    """
    from open_clip import SimpleTokenizer

    model: Any = build_tiny_clip(plan.seed, tower)
    tokenizer = SimpleTokenizer(context_length=model.context_length)
    optimizer = _optimizer(model, plan)
    checkpoint = Path(work_dir) / 'checkpoint.pth'
    start = 0
    if resume and checkpoint.exists():
        state = torch.load(checkpoint, map_location='cpu', weights_only=True)
        # Old checkpoints have neither tower nor scenes.
        found = (state.get('tower', 'vit'), state['plan'], state.get('scenes', SHAPES_OV.name))
        expected = (tower, asdict(plan), scene_set.name)
        if found != expected:
            raise ValueError(
                f'{checkpoint} has tower, plan and scenes {found}, expected {expected}: '
                'resume with the same arguments, or use another folder'
            )
        model.load_state_dict(state['model'])
        optimizer.load_state_dict(state['optimizer'])
        start = state['step']
    crops = CaptionedCrops(
        plan.scenes, plan.singles, plan.seed, progress=progress, scene_set=scene_set
    )
    losses: list[float] = []
    for step in progress(range(start, plan.steps)):
        losses.append(_train_step(model, tokenizer, optimizer, crops, plan, step))
        if (step + 1) % report_every == 0 or step + 1 == plan.steps:
            state = {
                'tower': tower,
                'scenes': scene_set.name,
                'plan': asdict(plan),
                'step': step + 1,
                'model': model.state_dict(),
                'optimizer': optimizer.state_dict(),
            }
            _save(state, checkpoint)
            accuracy = zero_shot_accuracy(
                model.eval(),
                tokenizer,
                check_scenes,
                plan.seed,
                prompts=slice(8, 10),
                scene_set=scene_set,
            )
            loss = np.mean(losses[-report_every:])
            report(
                f'step {step + 1}: loss {loss:.3f}, scale {model.logit_scale.exp().item():.1f}, '
                f'zero-shot top-1 {accuracy["top1"]:.1f}, top-5 {accuracy["top5"]:.1f}'
            )
    return model.eval()


def _optimizer(model: nn.Module, plan: TrainingPlan) -> torch.optim.Optimizer:
    decay: list[nn.Parameter] = []
    no_decay: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim >= 2 and 'embedding' not in name
        (decay if matrix else no_decay).append(parameter)
    groups = [
        {'params': decay, 'weight_decay': plan.weight_decay},
        {'params': no_decay, 'weight_decay': 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.lr, betas=(0.9, 0.98), eps=1e-6)


def _train_step(
    model: Any,  # noqa: ANN401 - open_clip's CLIP
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
    with _unfused_attention(), torch.autocast('cpu', torch.bfloat16, enabled=plan.bfloat16):
        image = model.encode_image(pixels)
    text = model.encode_text(tokens)  # float32: torch 2.1 rejects the float mask in bfloat16
    loss = contrastive_loss(image.float(), text.float(), targets, model.logit_scale.exp())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, math.log(100))
    return loss.item()


@contextmanager
def _unfused_attention() -> Iterator[None]:
    """Disable flash attention, which is slow for short bfloat16 sequences on a CPU."""
    enabled = torch.backends.cuda.flash_sdp_enabled()  # also applies to CPU tensors
    torch.backends.cuda.enable_flash_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_flash_sdp(enabled)


def _save(state: dict, path: Path) -> None:
    with atomic_write(path) as part, part.open('wb') as file:
        torch.save(state, file)
