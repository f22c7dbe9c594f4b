"""Refuses to train on region-text pairs whose labels mean other nouns than the model's."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from .vocabulary_check_hook import bare_model, first_difference


@HOOKS.register_module()
class NounCheckHook(Hook):
    """Compares the nouns of the training data with those of `RegionText` before the first batch.

    Both read them from a vocabulary that the config names; lists in another order would train with
    shuffled labels and without a sound.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare the nouns.

        Raises:
            TypeError: The model has no nouns.
            ValueError: They differ in number, spelling or order.
        """
        model = bare_model(runner.model)
        if not hasattr(model, 'nouns'):
            raise TypeError(f'NounCheckHook is for RegionText; {type(model).__name__} has no nouns')
        own = tuple(model.nouns.names)
        given = tuple(runner.train_dataloader.dataset.metainfo.get('classes', ()))
        if own == given:
            return
        where = first_difference(own, given)
        raise ValueError(
            f'the model has {len(own)} nouns and the data set {len(given)}, which differ from '
            f'label {where} on ({list(own[where : where + 2])} and '
            f'{list(given[where : where + 2])}): model.nouns.vocabulary and '
            'train_dataloader.dataset.vocabulary must be the same'
        )
