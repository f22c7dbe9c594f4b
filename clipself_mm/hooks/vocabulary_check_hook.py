"""Refuses to run a detector on data whose labels mean other classes than its own."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.utils.data import DataLoader


@HOOKS.register_module()
class VocabularyCheckHook(Hook):
    """Compares the classes of each data set with the detector's before the first batch.

    A config names the vocabulary in the head and in every data set; lists of equal length in
    another order would train and test with shuffled labels and without a sound.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training data."""
        self.check(runner, runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        self.check(runner, runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        self.check(runner, runner.test_dataloader)

    def check(self, runner: Runner, dataloader: DataLoader) -> None:
        """Compare the classes.

        Args:
            runner: Its model's `classes` are compared; a model without them is passed over.
            dataloader: Its data set's metainfo is compared.

        Raises:
            ValueError: The classes differ in number, names or order.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model = getattr(model, 'module', model)  # behind a test-time augmentation
        own = getattr(model, 'classes', None)
        given = getattr(dataloader.dataset, 'metainfo', {}).get('classes')
        if own is None or given is None or tuple(own) == tuple(given):
            return
        where = next(
            (i for i, pair in enumerate(zip(own, given, strict=False)) if pair[0] != pair[1]),
            min(len(own), len(given)),
        )
        raise ValueError(
            f'the detector has {len(own)} classes and the data set {len(given)}, which differ from '
            f'label {where} on ({list(own)[where : where + 2]} and '
            f'{list(given)[where : where + 2]}): roi_head.bbox_head.vocabulary and the vocabulary '
            'of the data sets must be the same'
        )
