"""Weight ensemble of the distilled and the original tower (official implementation).

The blend keeps most of the gain in dense features and most of the original image classification.
The hook evaluates and exports the blend; training continues with the student's own weights.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import CheckpointLoader, Runner
from torch import Tensor

from clipself_mm.clip.export.model_card import Measured
from clipself_mm.clip.export.tower_export import check_exportable, export_tower
from clipself_mm.clip.weights.tower_source import CONFIG_NAME


@HOOKS.register_module()
class WeightEnsembleHook(Hook):
    """Validates, tests and exports alpha * student + (1 - alpha) * teacher.

    The blend is loaded into the student for validation and test. Checkpoints contain the student's
    own weights, which are restored exactly afterwards. The blend of the last weights is exported to
    ``<work_dir>/tower``, that of the best checkpoint to ``<work_dir>/best_tower``, both as folders
    for open_clip.

    Args:
        alpha: Weight of the student: 0.7 for ViT-B/16, 0.95 for ViT-L/14 in the official
            implementation.
        export: Whether to export the towers.
    """

    # After the checkpoint hook (90): the best checkpoint is known while the blend is still loaded.
    # Before ResumeHook (100), which may validate before training.
    priority = 95

    def __init__(self, alpha: float, export: bool = True) -> None:
        if not 0 <= alpha <= 1:
            raise ValueError(f'WeightEnsembleHook.alpha must be in [0, 1], got {alpha}')
        self.alpha = alpha
        self.export = export
        self._raw: dict[str, Tensor] | None = None
        self._exported_best: str | None = None
        self._measured: tuple[int, Measured] | None = None

    def before_train(self, runner: Runner) -> None:
        """Check that the export will work; export the best tower if a killed run did not.

        Raises:
            ValueError: The tower cannot be exported, several metrics select a best checkpoint, or
                the config has this hook twice.
        """
        if sum(isinstance(hook, WeightEnsembleHook) for hook in runner.hooks) > 1:
            raise ValueError(
                'the config has two WeightEnsembleHooks: set alpha in '
                'default_hooks.weight_ensemble and remove the other from custom_hooks'
            )
        if not self.export:
            return
        student, teacher = _towers(runner)
        check_exportable(student.state_dict(), student.source)
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and len(hook.save_best or []) > 1:
                raise ValueError(
                    f'WeightEnsembleHook exports one best tower: set one save_best metric, not '
                    f'{hook.save_best}'
                )
        info = runner.message_hub.runtime_info
        self._exported_best = info.get('best_ckpt')
        exported = self._exported_best is None or self._is_exported(runner, self._exported_best)
        barrier()  # all processes read the file before one writes it
        if exported:
            return
        content = CheckpointLoader.load_checkpoint(self._exported_best, map_location='cpu')
        prefix = 'student.'
        raw = {
            key.removeprefix(prefix): value
            for key, value in content['state_dict'].items()
            if key.startswith(prefix)
        }
        original = {key: value.cpu() for key, value in teacher.state_dict().items()}
        blend = blend_state(raw, original, self.alpha)
        self._write(runner, 'best_tower', blend, self._exported_best)

    def before_val_epoch(self, runner: Runner) -> None:
        """Load the blend."""
        self._swap_in(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Export the blend if its checkpoint is a new best; restore the student."""
        if metrics:
            by = f'the validation of this run, at iteration {runner.iter}'
            self._measured = runner.iter, Measured(dict(metrics), by)
        best = runner.message_hub.runtime_info.get('best_ckpt')
        if self.export and best is not None and best != self._exported_best:
            self._write(runner, 'best_tower', _towers(runner)[0].state_dict(), best)
            self._exported_best = best
        self._swap_out(runner)

    def before_test_epoch(self, runner: Runner) -> None:
        """Load the blend."""
        self._swap_in(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Restore the student."""
        self._swap_out(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the student's own weights, also while the blend is loaded."""
        if self._raw is not None:
            state = checkpoint['state_dict']
            state.update({f'student.{key}': value.cpu() for key, value in self._raw.items()})

    def after_train(self, runner: Runner) -> None:
        """Export the blend of the last weights."""
        if self.export:
            student, teacher = _towers(runner)
            blend = blend_state(student.state_dict(), teacher.state_dict(), self.alpha)
            last = runner.message_hub.runtime_info.get('last_ckpt', '')
            self._write(runner, 'tower', blend, last)

    def _swap_in(self, runner: Runner) -> None:
        student, teacher = _towers(runner)
        self._raw = {key: value.clone() for key, value in student.state_dict().items()}
        student.load_state_dict(blend_state(self._raw, teacher.state_dict(), self.alpha))

    def _swap_out(self, runner: Runner) -> None:
        if self._raw is not None:
            _towers(runner)[0].load_state_dict(self._raw)
            self._raw = None

    def _is_exported(self, runner: Runner, checkpoint: str) -> bool:
        path = Path(runner.work_dir) / 'best_tower' / CONFIG_NAME
        return path.is_file() and json.loads(path.read_text())['origin'] == self._origin(checkpoint)

    def _origin(self, checkpoint: str) -> dict[str, str | float]:
        return {'checkpoint': Path(checkpoint).name, 'alpha': self.alpha}

    def _write(self, runner: Runner, name: str, state: dict[str, Tensor], checkpoint: str) -> None:
        if is_main_process():
            source, folder = _towers(runner)[0].source, Path(runner.work_dir) / name
            origin = self._origin(checkpoint)
            at, measured = self._measured or (None, None)
            path = export_tower(
                state,
                source,
                folder,
                origin,
                facts=_facts(runner, origin),
                measured=measured if at == runner.iter else None,
            )
            runner.logger.info(f'Blended tower (alpha {self.alpha}): {path}')
        barrier()


def _facts(runner: Runner, origin: Mapping[str, object]) -> dict[str, object]:
    """Rows of the card; names of files only, for paths are private."""
    dataset = runner.cfg.train_dataloader.dataset
    while 'dataset' in dataset:  # a wrapper
        dataset = dataset.dataset
    files = [Path(str(dataset[key])).name for key in ('ann_file', 'data_root') if dataset.get(key)]
    return {
        'config': Path(runner.cfg.filename or 'not from a file').name,
        'recipe': f'{runner.cfg.model.type}, {runner.epoch} epochs, {runner.iter} iterations',
        'share of the student': origin['alpha'],
        'checkpoint': origin['checkpoint'],
        'training data': ', '.join([str(dataset.get('type')), *files]),
    }


def _towers(runner: Runner) -> tuple[Any, Any]:
    """Student and teacher of the model, two `VisionTower`s."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    missing = [name for name in ('student', 'teacher') if not hasattr(model, name)]
    if missing:
        raise TypeError(
            f'WeightEnsembleHook needs a model with student and teacher; {type(model).__name__} '
            f'has no {" and no ".join(missing)}'
        )
    return model.student, model.teacher


def blend_state(
    student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], alpha: float
) -> dict[str, Tensor]:
    """`alpha * student + (1 - alpha) * teacher` for every key of the student.

    Exact for equal entries and for alpha 0 and 1. The result has the student's dtype and device;
    integer and bool buffers are blended and rounded. Keys of the teacher alone are dropped.

    Args:
        student: State dict of the distilled tower.
        teacher: State dict of the original tower, with at least the student's keys.
        alpha: Weight of the student, in [0, 1].

    Returns:
        New tensors, in the order of the student's keys.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f'alpha, the weight of the student, must be in [0, 1], got {alpha}')
    missing = [key for key in student if key not in teacher]
    if missing:
        raise KeyError(
            f'the teacher lacks {len(missing)} of {len(student)} keys of the student: '
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
