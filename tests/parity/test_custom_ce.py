"""The open-vocabulary cross entropy against the release's `CustomCrossEntropyLoss`."""

import numpy as np
import pytest
import torch

from clipself_mm.datasets import Vocabulary
from clipself_mm.detection.fvit_bbox_head import class_weights
from clipself_mm.losses import OpenVocabCELoss
from clipself_mm.losses.open_vocab_ce_loss import mask_unseen
from tests.parity.fixtures import GoldenFile

pytestmark = pytest.mark.parity

CASES = {
    'softmax_mean': {},
    'softmax_weighted_avg': dict(weighted=True, avg='positive'),
    'softmax_sum_lw2': dict(weighted=True, init=dict(loss_weight=2.0, reduction='sum')),
    'softmax_none': dict(init=dict(reduction='none')),
    'softmax_no_class_weight': dict(class_weight=None),
    'softmax_ignore': dict(labels='labels_with_ignore'),
    'softmax_ignore_avg_non_ignore': dict(
        labels='labels_with_ignore', init=dict(avg_non_ignore=True)
    ),
    'softmax_zero_class_label': dict(
        labels='labels_hitting_zero_weight_class', init=dict(reduction='none')
    ),
    'sigmoid_mean': dict(weighted=True, avg='rows', init=dict(use_sigmoid=True)),
}
FREQUENCY = 'softmax_freq_bg'
"""The beginning of one case more, whose name ends with the weight of the background."""


def freq_class_weight(golden, background):
    """Class weights of a vocabulary whose novel classes are those without images."""
    order = np.argsort(golden.inputs['freq_id'])
    seen = golden.inputs['freq_image_count'][order] > 0
    names = tuple(f'class {place}' for place in range(len(order)))
    vocabulary = Vocabulary(
        'freq',
        names,
        base=tuple(name for name, known in zip(names, seen, strict=True) if known),
        novel=tuple(name for name, known in zip(names, seen, strict=True) if not known),
    )
    return class_weights(vocabulary, background)


def test_losses_and_gradients():
    golden = GoldenFile('custom_ce')
    weights = torch.from_numpy(golden.inputs['label_weights'])
    (frequency,) = {
        key.removesuffix('.loss')
        for key in golden.outputs
        if key.startswith(FREQUENCY) and key.endswith('.loss')
    }
    by_frequency = freq_class_weight(golden, float(frequency.removeprefix(FREQUENCY)))
    golden.check('freq_class_weight', np.float32(by_frequency))
    cases = {**CASES, frequency: dict(labels='labels_freq', class_weight=by_frequency)}
    for case, spec in cases.items():
        class_weight = spec.get('class_weight', golden.inputs['class_weight'].tolist())
        loss = OpenVocabCELoss(class_weight=class_weight, **spec.get('init', {}))
        logits = torch.from_numpy(golden.inputs['logits']).requires_grad_()
        before = logits.detach().clone()
        avg = {None: None, 'positive': float((weights > 0).sum()), 'rows': float(len(weights))}
        value = loss(
            logits,
            torch.from_numpy(golden.inputs[spec.get('labels', 'labels')]),
            weights if spec.get('weighted') else None,
            avg_factor=avg[spec.get('avg')],
        )
        value.sum().backward()
        assert torch.equal(logits.detach(), before)  # the caller's logits are not touched
        assert torch.isfinite(value).all()
        assert torch.isfinite(logits.grad).all()
        # The release gives NaN where a label hits a class of weight 0; ours is 0 there.
        finite = np.isfinite(golden.outputs[f'{case}.loss'])
        sane = np.isfinite(golden.outputs[f'{case}.grad'])
        golden.check(f'{case}.loss', value, where=finite)
        golden.check(f'{case}.grad', logits.grad, where=sane)
        assert (finite.all() and sane.all()) != (case == 'softmax_zero_class_label')
        assert not value.detach().numpy()[~finite].any()
        assert not logits.grad.numpy()[~sane].any()
        masked = before
        if class_weight is not None and 'sigmoid' not in case:
            masked = mask_unseen(before, torch.tensor(class_weight))
        golden.check(f'{case}.pred_after', masked)
    golden.finish()
