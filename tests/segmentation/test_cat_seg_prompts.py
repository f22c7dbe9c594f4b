"""Embeddings prompt by prompt agree with the text tower's own means."""

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmseg')

from clipself_mm.clip import PROMPT_TEMPLATES, TextTower
from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.segmentation.cat_seg_prompts import PROMPTS, CATSegPrompts

TINY = dict(model='pkg:clipself_mm.shapes/tiny_clip')
TEMPLATES = ['a photo of {article} {}.', 'a drawing of {}.', '{}']
CLASSES = ['red star', 'grass']


def frozen(text=TINY, embeddings=None, templates=PROMPTS, synonyms=None):
    return CATSegPrompts(text, embeddings, templates, synonyms, finetune='none')


def mean(table):
    return F.normalize(table.mean(dim=1), dim=-1)


def test_mean_over_prompts_equals_the_text_tower():
    table = frozen(templates=TEMPLATES)(CLASSES)
    assert table.shape == (2, 3, 128)
    torch.testing.assert_close(table.norm(dim=-1), torch.ones(2, 3))
    expected = TextTower(**TINY).embed_classes(CLASSES, TEMPLATES)
    torch.testing.assert_close(mean(table), expected)
    assert not torch.allclose(table[:, 0], table[:, 1], atol=1e-3)


def test_table_follows_class_order_and_is_cached(monkeypatch):
    prompts = frozen(templates=TEMPLATES)
    table = prompts(CLASSES)
    asked, compute = [], prompts._compute

    def note(names):
        asked.extend(names)
        return compute(names)

    monkeypatch.setattr(prompts, '_compute', note)
    again = prompts(['grass', 'water', 'red star'])
    assert asked == ['water']
    assert torch.equal(again[[2, 0]], table)
    prompts(CLASSES)
    assert asked == ['water']


def test_synonyms_are_averaged_per_prompt():
    plain = frozen(templates=TEMPLATES)(['grass', 'lawn'])
    both = frozen(templates=TEMPLATES, synonyms={'grass': ['lawn']})(['grass'])
    torch.testing.assert_close(both[0], F.normalize(plain.mean(dim=0), dim=-1))


def test_without_templates_the_mean_is_used(tmp_path):
    vectors = {'red star': torch.tensor([3.0, 4.0]), 'grass': torch.tensor([0.0, 2.0])}
    torch.save(vectors, tmp_path / 'classes.pt')
    prompts = frozen(None, str(tmp_path / 'classes.pt'), None)
    assert prompts.count == 1
    table = prompts(['grass', 'red star'])
    torch.testing.assert_close(table, torch.tensor([[[0.0, 1.0]], [[0.6, 0.8]]]))


def test_eval_table_can_be_used_in_training():
    prompts = frozen(templates=['{}'])
    with torch.inference_mode():
        prompts(CLASSES)
    weight = torch.ones(128, requires_grad=True)
    (prompts(CLASSES) * weight).sum().backward()
    assert weight.grad is not None


def test_first_of_several_names_is_used():
    both = frozen(templates=TEMPLATES)(['grass, lawn', 'grass'])
    torch.testing.assert_close(both[0], both[1])


def test_default_prompt_is_that_of_the_official_implementation():
    prompts = frozen()
    assert prompts.count == 1
    tower = TextTower(**TINY)
    expected = tower.encode_text(tower.tokenizer(['A photo of a red star in the scene']))
    torch.testing.assert_close(prompts(['red star'])[0], F.normalize(expected, dim=-1))


def test_training_embeddings_have_gradients():
    prompts = CATSegPrompts(TINY, templates=TEMPLATES)
    assert prompts(CLASSES).requires_grad
    weights = dict(prompts.named_parameters())
    (prompts(CLASSES) * torch.randn(2, 3, 128)).sum().backward()
    trained = [name for name, item in weights.items() if item.grad is not None]
    assert trained
    assert all(name.endswith('attn.in_proj_weight') for name in trained)
    prompts.eval()
    assert not prompts(CLASSES).requires_grad
    torch.testing.assert_close(prompts(CLASSES), frozen(templates=TEMPLATES)(CLASSES))


def test_prompt_sets(tmp_path):
    assert frozen(templates='vild').templates == PROMPT_TEMPLATES
    (tmp_path / 'two.txt').write_text('a {}\nthe {}\n')
    assert frozen(templates=str(tmp_path / 'two.txt')).count == 2
    with pytest.raises(ValueError, match="'a photo'"):
        frozen(templates=['a photo'])
    with pytest.raises(ValueError, match=r'classes\.pt.*templates=None'):
        CATSegPrompts(embeddings='classes.pt')


def test_missing_text_tower_raises():
    with pytest.raises(ValueError, match=r"\['red star', 'grass'\].*`text`"):
        frozen(None, templates=['{}'])(CLASSES)


def test_pictures_are_blended_with_every_prompt():
    plain = frozen(templates=TEMPLATES)(CLASSES)
    vector = F.normalize(torch.randn(128, generator=torch.Generator().manual_seed(0)), dim=0)
    prompts = frozen(templates=TEMPLATES)
    given = {'grass': ExemplarEmbedding(vector, 0.25), 'object 1': ExemplarEmbedding(vector)}
    prompts.set_classes([*CLASSES, 'object 1'], exemplars=given)
    table = prompts([*CLASSES, 'object 1'])  # as in a forward pass
    assert torch.equal(table[0], plain[0])
    torch.testing.assert_close(table[1], F.normalize(0.75 * plain[1] + 0.25 * vector, dim=-1))
    torch.testing.assert_close(table[2], vector.expand(3, -1))
