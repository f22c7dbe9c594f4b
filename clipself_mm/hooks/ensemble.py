"""The weight ensemble: a blend of the distilled tower and the original one (authors' release).

Blending keeps most of what distillation taught and much of the original's classification.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def blend_state(
    student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], alpha: float
) -> dict[str, Tensor]:
    """`alpha * student + (1 - alpha) * teacher` for every key of the student.

    Entries that are equal in both stay exactly as they are, alpha 1 gives the student and alpha 0
    the teacher bit for bit. An entry keeps the student's dtype and device; integer and bool
    buffers are blended and rounded. Keys that only the teacher has are dropped.

    Args:
        student: State of the distilled tower.
        teacher: State of the original tower, at least the student's keys.
        alpha: Share of the student, in [0, 1].

    Returns:
        New tensors under the student's keys, in its order.

    Raises:
        ValueError: `alpha` is outside [0, 1], or an entry has another shape in the teacher.
        KeyError: The teacher lacks keys of the student; the message names them.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f'alpha, the share of the student, must be in [0, 1], got {alpha}')
    missing = [key for key in student if key not in teacher]
    if missing:
        raise KeyError(
            f'the teacher lacks {len(missing)} of {len(student)} entries of the student: '
            + ', '.join(missing)
        )
    blended = {}
    for key, value in student.items():
        other = teacher[key]
        if value.shape != other.shape:
            raise ValueError(
                f'{key} has shape {tuple(value.shape)} in the student, {tuple(other.shape)} in '
                'the teacher'
            )
        blended[key] = _blend(value.detach(), other.detach(), alpha)
    return blended


def _blend(student: Tensor, teacher: Tensor, alpha: float) -> Tensor:
    if student.is_floating_point():
        working = torch.promote_types(student.dtype, torch.float32)
    else:
        working = torch.float64
    teacher = teacher.to(device=student.device, dtype=working)
    mixed = torch.lerp(teacher, student.to(working), alpha)
    return (mixed if student.is_floating_point() else mixed.round()).to(student.dtype)
