"""Embeddings prompt by prompt agree with the text tower's own means."""

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmseg')

from clipself_mm.clip import PROMPT_TEMPLATES, TextTower
from clipself_mm.segmentation.cat_seg_prompts import CATSegPrompts

TINY = dict(model='pkg:clipself_mm.shapes/tiny_clip')
TEMPLATES = ['a photo of {article} {}.', 'a drawing of {}.', '{}']
CLASSES = ['red star', 'grass']


def mean(table):
    return F.normalize(table.mean(dim=1), dim=-1)


def test_mean_over_prompts_is_the_text_towers():
    table = CATSegPrompts(TINY, templates=TEMPLATES).encode(CLASSES)
    assert table.shape == (2, 3, 128)
    torch.testing.assert_close(table.norm(dim=-1), torch.ones(2, 3))
    expected = TextTower(**TINY).embed_classes(CLASSES, TEMPLATES)
    torch.testing.assert_close(mean(table), expected)
    assert not torch.allclose(table[:, 0], table[:, 1], atol=1e-3)


def test_order_is_that_of_the_classes_and_nothing_is_computed_twice(monkeypatch):
    prompts = CATSegPrompts(TINY, templates=TEMPLATES)
    table = prompts.encode(CLASSES)
    asked, compute = [], prompts._compute

    def note(names, device):
        asked.extend(names)
        return compute(names, device)

    monkeypatch.setattr(prompts, '_compute', note)
    again = prompts.encode(['grass', 'water', 'red star'])
    assert asked == ['water']
    assert torch.equal(again[[2, 0]], table)
    prompts.encode(CLASSES)
    assert asked == ['water']


def test_synonyms_are_averaged_prompt_by_prompt():
    plain = CATSegPrompts(TINY, templates=TEMPLATES).encode(['grass', 'lawn'])
    both = CATSegPrompts(TINY, templates=TEMPLATES, synonyms={'grass': ['lawn']}).encode(['grass'])
    torch.testing.assert_close(both[0], F.normalize(plain.mean(dim=0), dim=-1))


def test_without_templates_the_mean_is_the_only_prompt(tmp_path):
    vectors = {'red star': torch.tensor([3.0, 4.0]), 'grass': torch.tensor([0.0, 2.0])}
    torch.save(vectors, tmp_path / 'classes.pt')
    prompts = CATSegPrompts(embeddings=str(tmp_path / 'classes.pt'), templates=None)
    assert prompts.count == 1
    table = prompts.encode(['grass', 'red star'])
    torch.testing.assert_close(table, torch.tensor([[[0.0, 1.0]], [[0.6, 0.8]]]))


def test_a_table_of_a_test_serves_a_training():
    prompts = CATSegPrompts(TINY, templates=['{}'])
    with torch.inference_mode():
        prompts.encode(CLASSES)
    weight = torch.ones(128, requires_grad=True)
    (prompts.encode(CLASSES) * weight).sum().backward()
    assert weight.grad is not None


def test_prompt_sets(tmp_path):
    assert CATSegPrompts(TINY).templates == PROMPT_TEMPLATES
    (tmp_path / 'two.txt').write_text('a {}\nthe {}\n')
    assert CATSegPrompts(TINY, templates=str(tmp_path / 'two.txt')).count == 2
    with pytest.raises(ValueError, match=r'\{\} once'):
        CATSegPrompts(TINY, templates=['a photo'])
    with pytest.raises(ValueError, match='expected templates=None'):
        CATSegPrompts(embeddings='classes.pt')


def test_no_text_tower():
    with pytest.raises(ValueError, match='no text tower to encode'):
        CATSegPrompts(templates=['{}']).encode(CLASSES)
