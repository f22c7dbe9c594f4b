"""Classes of model and data must be equal."""

from types import SimpleNamespace

import pytest
from mmengine.model import BaseTTAModel
from torch import nn

from clipself_mm.distillers import CLIPSelf, RegionPseudoLabeler, RegionRecognizer, RegionText
from clipself_mm.hooks import VocabularyCheckHook


class Detector(nn.Module):
    classes = ('cup', 'pen', 'key')

    def test_step(self, data):
        return data


class Augmented(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return data_samples_list


def runner_of(model, classes, validates=False):
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(classes=classes)))
    return SimpleNamespace(
        model=model,
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        val_loop=object() if validates else None,
    )


@pytest.mark.parametrize('moment', ['train', 'val', 'test'])
@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (['cup', 'key', 'pen'], r"Detector.*\b3\b.*\b3\b.*\b1\b.*\['pen', 'key'\]"),
        (['cup', 'pen'], r"Detector.*\b3\b.*\b2\b.*\b2\b.*\['key'\]"),
        (['cup', 'pen', 'key', 'jar'], r"Detector.*\b3\b.*\b4\b.*\b3\b.*\['jar'\]"),
    ],
)
def test_different_classes_raise(moment, classes, message):
    check = getattr(VocabularyCheckHook(), f'before_{moment}')
    with pytest.raises(ValueError, match=message):
        check(runner_of(Detector(), classes))


def test_training_without_classes_is_not_checked():
    """CLIPSelf: any images in training, regions of a vocabulary in validation."""
    model = Detector()
    model.train_classes = None
    runner = runner_of(model, ['pen', 'cup', 'key'])
    VocabularyCheckHook().before_train(runner)
    with pytest.raises(ValueError, match=r"\b0\b.*\['cup', 'pen'\].*\['pen', 'cup'\]"):
        VocabularyCheckHook().before_val(runner)


def test_another_vocabulary_of_the_validation_ends_the_run_before_training():
    model = Detector()
    model.train_classes = None
    with pytest.raises(ValueError, match=r"\b0\b.*\['cup', 'pen'\].*\['pen', 'cup'\]"):
        VocabularyCheckHook().before_train(runner_of(model, ['pen', 'cup', 'key'], validates=True))


def test_classes_of_the_region_models():
    classifier = SimpleNamespace(classes=('cup', 'pen'))
    nouns = SimpleNamespace(classes=('sky', 'sea'))
    for kind in (CLIPSelf, RegionText, RegionRecognizer, RegionPseudoLabeler):
        model = kind.__new__(kind)
        nn.Module.__init__(model)
        model.classifier, model.nouns = classifier, nouns
        assert model.classes == (('sky', 'sea') if kind is RegionPseudoLabeler else ('cup', 'pen'))
        if kind in (CLIPSelf, RegionText):
            assert model.train_classes == (None if kind is CLIPSelf else ('sky', 'sea'))
            model.classifier = None
            assert model.classes is None


def test_aliases_in_the_data_are_accepted():
    """VOC's files have `pottedplant`, the text tower encodes `potted plant`."""
    model = Detector()
    model.aliases = {'pen': ('biro', 'ballpoint')}
    VocabularyCheckHook().before_test(runner_of(model, ['cup', 'ballpoint', 'key']))
    with pytest.raises(ValueError, match=r"\b1\b.*\['pen', 'key'\].*\['key', 'pen'\]"):
        VocabularyCheckHook().before_test(runner_of(model, ['cup', 'key', 'biro']))


def test_wrapped_models_are_checked():
    model = Augmented(module=Detector())
    with pytest.raises(ValueError, match=r"\b0\b.*\['cup', 'pen'\].*\['pen', 'cup'\]"):
        VocabularyCheckHook().before_test(runner_of(model, ['pen', 'cup', 'key']))
    assert VocabularyCheckHook().before_test(runner_of(model, ['cup', 'pen', 'key'])) is None


def test_models_without_classes_are_not_checked():
    assert VocabularyCheckHook().before_train(runner_of(nn.Identity(), ['a'])) is None
