"""Checks that the labels of model and data set mean the same classes."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from clipself_mm.datasets.annotations.vocabulary import class_names


@HOOKS.register_module()
class VocabularyCheckHook(Hook):
    """Compares the classes of each data set with the model's before the first batch.

    A config names the vocabulary in the model and in each data set. Lists of equal length but
    different order would silently train and test with shuffled labels. Validation and test data
    are compared with the model's ``classes``, training data with its ``train_classes`` if it has
    the attribute. Nothing is compared if these are None or missing. The ``aliases`` of a model are
    other names of its classes in data sets.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training data, and the validation data if there is any."""
        model = bare_model(runner.model)
        classes = getattr(model, 'train_classes', getattr(model, 'classes', None))
        check_classes(model, classes, runner.train_dataloader)
        if runner.val_loop is not None:
            self.before_val(runner)

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        model = bare_model(runner.model)
        check_classes(model, getattr(model, 'classes', None), runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        model = bare_model(runner.model)
        check_classes(model, getattr(model, 'classes', None), runner.test_dataloader)


def bare_model(model: nn.Module) -> nn.Module:
    """The model inside a distributed wrapper or a test-time augmentation."""
    unwrapped: nn.Module = getattr(model, 'module', model) if is_model_wrapper(model) else model
    return getattr(unwrapped, 'module', unwrapped)


def check_classes(model: nn.Module, own: Sequence[str] | None, dataloader: DataLoader) -> None:
    """Compare the classes of a model with those of its data.

    Args:
        model: The model.
        own: Its classes, in the order of their labels; None skips the check.
        dataloader: The data, whose metainfo has the other `classes`; without, no check.

    Raises:
        ValueError: The classes differ in number, names or order.
    """
    given = getattr(dataloader.dataset, 'metainfo', {}).get('classes')
    if own is None or given is None:
        return
    class_of = class_names(getattr(model, 'aliases', {}))
    given = [class_of.get(name, name) for name in given]
    if list(own) == given:
        return
    first = first_difference(own, given)
    raise ValueError(
        f'{type(model).__name__} has {len(own)} classes and the data set {len(given)}, which '
        f'differ from label {first} on ({list(own)[first : first + 2]} and '
        f'{given[first : first + 2]}): use the same vocabulary for the model and the data set'
    )


def first_difference(own: Sequence[str], given: Sequence[str]) -> int:
    """The first label at which two lists of names differ."""
    pairs = zip(own, given, strict=False)
    shorter = min(len(own), len(given))
    return next((i for i, pair in enumerate(pairs) if pair[0] != pair[1]), shorter)
