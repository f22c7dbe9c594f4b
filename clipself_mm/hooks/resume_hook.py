"""Checks on the way into a resumed run, and the validation that a kill interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn

from clipself_mm.clip.weights.checkpoints import state_dict_mismatch
from clipself_mm.clip.weights.tower_source import TowerSource
from clipself_mm.io.atomic_write import atomic_write

from .interrupt_hook import BATCHES_DONE

#: Key of a checkpoint's meta: what `describe_run` gives.
RUN = 'run'
#: File of the work dir with the step of the last finished validation.
LAST_VALIDATION = 'last_validation'


@HOOKS.register_module()
class ResumeHook(Hook):
    """Compares a resumed run with its checkpoint, and repeats a validation that was not finished.

    A checkpoint of another architecture is an error. Another tower, batch or learning rate in the
    config is a warning, since a resumed run keeps those of the checkpoint. Checkpoints carry the
    batch and the towers in `meta['run']`; without it neither is compared.

    mmengine does not repeat the validation that a kill interrupted, and so loses the best
    checkpoint. The file `last_validation` has the step of the last one that was finished.
    """

    # After all hooks that handle validations, best checkpoints and exports.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._amid_epoch = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the batch and the towers."""
        checkpoint['meta'][RUN] = describe_run(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare a checkpoint with the run that resumes from it.

        Raises:
            ValueError: The checkpoint is of another model.
        """
        if not runner._resume:
            return
        meta = checkpoint.get('meta', {})
        self._amid_epoch = meta.get(BATCHES_DONE, 0) > 0
        old, new = meta.get(RUN, {}), describe_run(runner)
        _check_model(runner, checkpoint.get('state_dict', {}), old, new)
        if old and old['towers'] != new['towers']:
            runner.logger.warning(
                f'--resume keeps the tower of the checkpoint, {_towers_in_words(old)}; that of the '
                f'config, {_towers_in_words(new)}, is not used'
            )
        batches = ''
        if old and (old['batch_size'], old['processes']) != (new['batch_size'], new['processes']):
            batches = (
                f'the batch was {_batch_in_words(old)} and is {_batch_in_words(new)}; the order of '
                'the data differs. '
            )
        rates = _rates_in_words(runner, checkpoint) if 'optimizer' in checkpoint else ''
        if batches or rates:
            runner.logger.warning(f'--resume: {batches}{rates or "The learning rate stays."}')

    def before_train(self, runner: Runner) -> None:
        """Repeat the validation of the checkpoint's step if it was not finished."""
        marker = Path(runner.work_dir) / LAST_VALIDATION
        if runner.iter == 0:
            if is_main_process():
                marker.unlink(missing_ok=True)
            return
        finished = marker.is_file() and marker.read_text().strip() == str(runner.iter)
        repeat = [not finished and not self._amid_epoch and _validation_is_due(runner)]
        broadcast_object_list(repeat)
        if repeat[0]:
            runner.logger.info(f'The validation at step {runner.iter} was not finished: repeated.')
            runner.val_loop.run()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Note that the validation is finished."""
        if runner.iter > 0 and is_main_process():
            with atomic_write(Path(runner.work_dir) / LAST_VALIDATION) as part:
                part.write_text(f'{runner.iter}\n')


def describe_run(runner: Runner) -> dict:
    """Batch and towers of a run, as plain data for a checkpoint.

    Returns:
        `batch_size` of a process (None if a batch sampler sets it), `processes`, and `towers`:
        name of the module to model and weights file.
    """
    towers = {
        name: [module.source.model, module.source.checkpoint]
        for name, module in _bare(runner.model).named_modules()
        if isinstance(getattr(module, 'source', None), TowerSource)
    }
    dataloader = runner.train_dataloader
    size = dataloader.batch_size or getattr(dataloader.batch_sampler, 'batch_size', None)
    return {'batch_size': size, 'processes': get_world_size(), 'towers': towers}


def _bare(model: Any) -> nn.Module:  # noqa: ANN401
    return model.module if is_model_wrapper(model) else model


def _check_model(runner: Runner, state: dict, old: dict, new: dict) -> None:
    state = {key.removeprefix('module.'): value for key, value in state.items()}
    expected = _bare(runner.model).state_dict()
    problems = state_dict_mismatch(expected, state)
    if not problems:
        return
    towers = ''
    if old and old['towers'] != new['towers']:
        towers = f' (tower {_towers_in_words(old)}, not {_towers_in_words(new)})'
    raise ValueError(
        f'--resume: the checkpoint is of another model than the config{towers}: {len(problems)} '
        f'of {len(expected)} tensors differ, the first: {problems[0]}. Give the config of the '
        'checkpoint, or another --work-dir'
    )


def _rates_in_words(runner: Runner, checkpoint: dict) -> str:
    if not isinstance(runner.optim_wrapper, OptimWrapper):
        return ''
    old, new = checkpoint['optimizer'], runner.optim_wrapper.optimizer.state_dict()
    if 'param_groups' not in old:
        return ''
    old, new = old['param_groups'], new['param_groups']
    sizes = [[len(group['params']) for group in groups] for groups in (old, new)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            '--resume: the checkpoint trains other parameters than the config: '
            f'{sum(sizes[0])} in {len(old)} groups, not {sum(sizes[1])} in {len(new)}. Give the '
            'config of the checkpoint, or load_from without --resume'
        )
    first = [group.get('initial_lr', group['lr']) for group in old]
    given = [group.get('initial_lr', group['lr']) for group in new]
    if first == given:
        return ''
    return (
        f'The learning rate stays that of the checkpoint, {max(first):g} before its schedule; the '
        f'{max(given):g} of the config or of --auto-scale-lr is not used. For another rate, start '
        'from the checkpoint with load_from and without --resume'
    )


def _validation_is_due(runner: Runner) -> bool:
    """Whether mmengine's loop validates at this step."""
    loop = runner.train_loop
    if runner.val_loop is None:
        return False
    if isinstance(loop, EpochBasedTrainLoop):
        done, last = loop.epoch, loop.max_epochs
    elif isinstance(loop, IterBasedTrainLoop):
        done, last = loop.iter, loop.max_iters
    else:
        return False
    loop._decide_current_val_interval()
    return done >= loop.val_begin and (done % loop.val_interval == 0 or done == last)


def _batch_in_words(run: dict) -> str:
    size, processes = run['batch_size'], run['processes']
    return f'{size}' if processes == 1 else f'{processes} x {size}'


def _towers_in_words(run: dict) -> str:
    named = {f'{model} with {file}' if file else model for model, file in run['towers'].values()}
    return ', '.join(sorted(named)) or 'none'
