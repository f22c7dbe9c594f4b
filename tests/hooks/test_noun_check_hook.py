"""Model and training data speak of the same nouns, or nothing trains."""

from types import SimpleNamespace

import pytest
from mmengine.registry import HOOKS
from torch import nn

NOUNS = ['cup', 'dog', 'pen', 'tree']


class Model(nn.Module):
    nouns = SimpleNamespace(names=tuple(NOUNS))


def check(model, **metainfo):
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=metainfo))
    runner = SimpleNamespace(model=model, train_dataloader=loader)
    HOOKS.build(dict(type='NounCheckHook')).before_train(runner)


@pytest.mark.parametrize(
    ('given', 'complaint'),
    [
        (NOUNS[::-1], r'differ from label 0 on \(\[.cup., .dog.\] and \[.tree., .pen.\]\)'),
        ([*NOUNS, 'sky'], 'has 4 nouns and the data set 5, which differ from label 4'),
        (NOUNS[:3], 'has 4 nouns and the data set 3, which differ from label 3'),
    ],
)
def test_data_of_other_nouns_are_refused(given, complaint):
    with pytest.raises(ValueError, match=complaint):
        check(Model(), classes=tuple(given))


def test_data_that_name_none_are_refused():
    with pytest.raises(ValueError, match='the data set 0, which differ from label 0'):
        check(Model())


def test_the_same_nouns_pass():
    check(Model(), classes=list(NOUNS))


def test_other_models_are_refused():
    with pytest.raises(TypeError, match='Identity has no nouns'):
        check(nn.Identity(), classes=NOUNS)
