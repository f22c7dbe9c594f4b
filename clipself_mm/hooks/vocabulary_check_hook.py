"""Refuses to run a model on data whose labels mean other classes than its own."""

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

    A config names the vocabulary in the model and in every data set; lists of equal length in
    another order would train and test with shuffled labels and without a sound. The data of
    validation and test are compared with the model's ``classes``, those of training with its
    ``train_classes`` if it has them. Where these are None, or there are none, nothing is compared.
    A model's ``aliases`` are what data may call its classes besides.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training data."""
        model = bare_model(runner.model)
        classes = getattr(model, 'train_classes', getattr(model, 'classes', None))
        check_classes(model, classes, runner.train_dataloader)

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
    model = model.module if is_model_wrapper(model) else model
    return getattr(model, 'module', model)


def check_classes(model: nn.Module, own: Sequence[str] | None, dataloader: DataLoader) -> None:
    """Compare the classes of a model with those of its data.

    Args:
        model: Named in the error.
        own: Its classes, in the order of their labels; None to pass.
        dataloader: Its data set's metainfo says the others; one that says none is passed over.

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
    where = first_difference(own, given)
    raise ValueError(
        f'{type(model).__name__} has {len(own)} classes and the data set {len(given)}, which '
        f'differ from label {where} on ({list(own)[where : where + 2]} and '
        f'{given[where : where + 2]}): the vocabulary of the model and that of the '
        'data set must be the same'
    )


def first_difference(own: Sequence[str], given: Sequence[str]) -> int:
    """The first label that two lists of names disagree about."""
    pairs = zip(own, given, strict=False)
    shorter = min(len(own), len(given))
    return next((i for i, pair in enumerate(pairs) if pair[0] != pair[1]), shorter)
