"""Refuses to run a segmentor on data whose labels mean other classes than its own."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader


@HOOKS.register_module()
class CATSegVocabularyHook(Hook):
    """Compares the classes of each data set with the segmentor's before the first batch.

    CAT-Seg trains on one vocabulary and is tested on another; labels in another order than the
    names would train and test without a sound.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training data against the classes of training."""
        model = bare_model(runner.model)
        compare('vocabulary', model.train_classes, runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Check the validation data against the classes of prediction."""
        compare('test_vocabulary', bare_model(runner.model).classes, runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Check the test data against the classes of prediction."""
        compare('test_vocabulary', bare_model(runner.model).classes, runner.test_dataloader)


def bare_model(model: nn.Module) -> nn.Module:
    """The segmentor inside a distributed wrapper or a test-time augmentation."""
    model = model.module if is_model_wrapper(model) else model
    return getattr(model, 'module', model)


def compare(key: str, classes: Sequence[str], dataloader: DataLoader) -> None:
    """Compare the classes of a model with those of its data.

    Args:
        key: What of `decode_head` says the model's classes.
        classes: The model's.
        dataloader: Its data set's metainfo says the others; one that says none is passed over.

    Raises:
        ValueError: The classes differ in number, names or order.
    """
    given = getattr(dataloader.dataset, 'metainfo', {}).get('classes')
    if given is None or tuple(classes) == tuple(given):
        return
    where = next(
        (i for i, pair in enumerate(zip(classes, given, strict=False)) if pair[0] != pair[1]),
        min(len(classes), len(given)),
    )
    raise ValueError(
        f'the segmentor has {len(classes)} classes and the data set {len(given)}, which differ '
        f'from label {where} on ({list(classes)[where : where + 2]} and '
        f'{list(given)[where : where + 2]}): model.decode_head.{key} and the data set must list '
        'the same'
    )
