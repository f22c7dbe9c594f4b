"""How a mask generator's and CLIP's opinions of a query become one score: pure functions.

The fusion is that of ODISE's inference (paper, section 4.3; Xu et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clipself_mm.clip.region_pooling import mask_pool
from clipself_mm.detection.score_fusion import fuse_scores


def overlaps(pixels: int, tokens: int, length: float, device: torch.device | str) -> Tensor:
    """How much of every token each pixel of a row covers.

    Args:
        pixels: Number of pixels, W; they share the part of the row that is image.
        tokens: Number of tokens, w.
        length: Length of the image in tokens; what is beyond is padding.
        device: Where the answer is made.

    Returns:
        Shares of a token's length, float32 of shape (w, W); a row sums up to the share of the
        token that is image.
    """
    edges = torch.arange(pixels + 1, device=device, dtype=torch.float64) * (length / pixels)
    starts = torch.arange(tokens, device=device, dtype=torch.float64)[:, None]
    covered = torch.minimum(edges[1:], starts + 1) - torch.maximum(edges[:-1], starts)
    return covered.clamp_min(0).float()


def masks_on_tokens(masks: Tensor, grid: Sequence[int], size: Sequence[float]) -> Tensor:
    """Average masks over the area of every token, whatever the ratio of the sizes.

    Args:
        masks: Masks in the frame of the image, 0-1, shape (Q, H, W).
        grid: Tokens of the padded image, (h, w).
        size: Height and width of the image without padding, in tokens; rarely whole numbers.

    Returns:
        Share of each token that the mask covers, shape (Q, h, w); padding is 0.
    """
    rows = overlaps(masks.shape[1], grid[0], size[0], masks.device)
    columns = overlaps(masks.shape[2], grid[1], size[1], masks.device)
    return rows @ masks.float() @ columns.T


def clip_scores(dense: Tensor, masks: Tensor, text: Tensor, temperature: float) -> Tensor:
    """Class probabilities of masks by the dense map.

    Args:
        dense: Dense map of one image, shape (1, D, h, w).
        masks: Weights on the token grid, shape (Q, h, w).
        text: Unit embeddings of the classes, shape (K, D).
        temperature: Between cosines and logits.

    Returns:
        Probabilities, shape (Q, K), uniform for an empty mask.
    """
    with torch.autocast(dense.device.type, enabled=False):
        pooled = F.normalize(mask_pool(dense.float(), [masks.float()]), dim=-1)
        cosines = pooled @ text.float().T
    return (temperature * cosines).softmax(dim=-1)


def match_classes(
    asked: Sequence[str], known: Sequence[str], matches: Mapping[str, Sequence[str]] | None = None
) -> Tensor:
    """Which classes of a generator make up each class of a vocabulary.

    Args:
        asked: The K classes of the vocabulary.
        known: The G classes of the generator.
        matches: Class of the vocabulary to the classes of the generator that are it under another
            name or parts of it. Classes of equal name match anyway, unless listed here.

    Returns:
        Ones and zeros, float32 of shape (K, G); no column has two ones.

    Raises:
        ValueError: `matches` names a class that is none, or a class of the generator twice.
    """
    row = {name: place for place, name in enumerate(asked)}
    column = {name: place for place, name in enumerate(known)}
    whose = {name: name for name in known if name in row}
    listed: dict[str, str] = {}
    for name, parts in (matches or {}).items():
        parts = (parts,) if isinstance(parts, str) else parts
        unknown = [part for part in parts if part not in column]
        if name not in row or unknown:
            reason = f'the generator has no {unknown}' if unknown else 'no class that is asked for'
            raise ValueError(f'matches[{name!r}] = {list(parts)}: {reason}')
        for part in parts:
            if part in listed:
                raise ValueError(
                    f'matches gives {part!r} of the generator to {listed[part]!r} and {name!r}'
                )
            listed[part] = name
    whose |= listed
    table = torch.zeros(len(asked), len(known), device='cpu')
    for part, name in whose.items():
        table[row[name], column[part]] = 1
    return table


def split_objectness(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Take a generator's scores apart.

    Args:
        logits: Of its classes and, last, of no object, shape (Q, G + 1).

    Returns:
        Probabilities of the classes, given that there is an object, shape (Q, G); and the
        probability that there is one, shape (Q, 1).
    """
    logits = logits.float()
    return logits[:, :-1].softmax(dim=-1), logits.softmax(dim=-1)[:, :-1].sum(-1, keepdim=True)


def exponents(seen: Tensor, known: Tensor, alpha: float, beta: float) -> Tensor:
    """CLIP's share in the score of each class.

    Args:
        seen: Whether the generator was trained on the class, bool of shape (K).
        known: Whether the generator gives the class a score at all, bool of shape (K).
        alpha: Share for seen classes.
        beta: Share for unseen ones.

    Returns:
        Shape (K); 1 for a class that the generator does not know.
    """
    weights = torch.where(seen, alpha, beta)
    return torch.where(known, weights, torch.ones_like(weights))


def query_scores(
    predicted: Tensor, clip: Tensor | None, objectness: Tensor, weights: Tensor, score: str
) -> Tensor:
    """Probabilities of classes and, last, of no object.

    Args:
        predicted: By the generator, of the classes of the vocabulary, given an object, shape
            (Q, K); 0 for a class it does not know.
        clip: By CLIP, shape (Q, K); not read for 'pred'.
        objectness: Probability of an object, shape (Q, 1).
        weights: Of `exponents`, shape (K); read for 'fused'.
        score: 'pred': `predicted` as it is; what the generator gives to classes outside the
            vocabulary counts as no object. 'clip': `clip`. 'fused': predicted^(1 - w) * clip^w,
            renormalised over the classes.

    Returns:
        Shape (Q, K + 1); rows sum up to 1.

    Raises:
        ValueError: Another `score`.
    """
    if score == 'pred':
        classes = predicted
    elif score == 'clip':
        classes = clip
    elif score == 'fused':
        classes = fuse_scores(predicted, clip, weights)
        classes = classes / classes.sum(dim=-1, keepdim=True).clamp_min(1e-30)
    else:
        raise ValueError(f"score is 'pred', 'clip' or 'fused', got {score!r}")
    classes = classes * objectness
    return torch.cat([classes, 1 - classes.sum(dim=-1, keepdim=True)], dim=-1).clamp_min(0)


def semantic_labels(scores: Tensor, masks: Tensor, values: int = 2**26) -> Tensor:
    """The class of every pixel: argmax over classes of the sum over queries of score times mask.

    Cheng et al. 2021, section 3.4 (MaskFormer's semantic inference).

    Args:
        scores: Probabilities of the K classes, without no object, shape (Q, K).
        masks: Mask logits, shape (Q, H, W).
        values: How many values of classes and pixels are held at once, at least one row's.

    Returns:
        Labels, int64 of shape (H, W).
    """
    _, height, width = masks.shape
    step = max(1, values // (width * max(scores.shape)))
    parts = [
        torch.einsum('qk,qhw->khw', scores, masks[:, start : start + step].sigmoid()).argmax(0)
        for start in range(0, height, step)
    ]
    return torch.cat(parts)
