"""Names that the text tower cannot tell apart, or reads in part, are said once."""

import open_clip
import pytest
import torch

from clipself_mm.clip import TextEmbeddings, TextTower, text_warnings
from clipself_mm.clip.prompts import expand_prompts
from clipself_mm.clip.text_warnings import find_cut, warn_of_equal

LONG = ' '.join(['cup'] * 90)


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(text_warnings, 'print_log', lambda message, **_: texts.append(message))
    text_warnings._warn_once.cache_clear()
    return texts


@pytest.mark.parametrize(('words', 'cut'), [(1, False), (75, False), (76, True), (300, True)])
def test_prompts_beyond_the_context_are_cut(words, cut):
    """77 tokens: 75 words of one token, the start and the end."""
    tokenizer = open_clip.get_tokenizer('ViT-B-16')
    prompts = ['cup', ' '.join(['cup'] * words), '']
    tokens = tokenizer(prompts)
    assert tokens.shape == (3, 77)
    assert find_cut(tokenizer, prompts, tokens) == [False, cut, False]


def test_cut_and_equal_names_are_said_once(said, micro_clip):
    one, other = f'{LONG} red', f'{LONG} blue'
    encoder = TextEmbeddings(text=dict(model=micro_clip))
    table = encoder.encode(['pen', one, other])
    assert table[1].dot(table[2]) > 1 - 1e-6
    context = TextTower(micro_clip).tokenizer(['']).shape[1]
    cut, equal = said
    assert f'longer than the {context} tokens' in cut
    assert cut.count('(63 of 63)') == 2
    assert 'pen' not in cut
    assert 'equal embeddings' in equal
    assert equal.index("cup red'") < equal.index("cup blue'")
    encoder.encode(['pen', one, other])
    assert len(said) == 2


def test_some_prompts_of_a_name_are_cut(said, micro_clip):
    tower = TextTower(micro_clip)
    context = tower.tokenizer(['']).shape[1]
    name = ' '.join(['cup'] * (context - 8))
    longer = [
        int(tower.tokenizer([prompt], 200).count_nonzero()) > context
        for prompt in expand_prompts(name)
    ]
    assert 0 < sum(longer) < 63
    tower.embed_classes(['pen', name])
    assert f'({sum(longer)} of 63)' in said[0]


def test_names_of_a_later_call_are_compared_with_known_ones(said, micro_clip):
    encoder = TextEmbeddings(text=dict(model=micro_clip))
    encoder.encode(['Cup', 'pen'])
    assert said == []
    encoder.encode(['cup', 'Cup'])
    (text,) = said
    assert "'cup' and 'Cup'" in text


def test_different_names_are_not_told(said, micro_clip):
    TextEmbeddings(text=dict(model=micro_clip)).encode(['cup', 'pen', 'чашка', '杯子', '🫖'])
    assert said == []


def test_equal_rows_of_a_large_table_are_found(said, monkeypatch):
    monkeypatch.setattr(text_warnings, '_ROWS', 4)
    table = torch.randn(11, 2, 8, generator=torch.Generator().manual_seed(0))
    table[9] = 3 * table[2]
    table[6] = table[5] + 1e-5
    warn_of_equal([f'n{index}' for index in range(11)], table)
    (text,) = said
    assert text.endswith("'n2' and 'n9', 'n5' and 'n6'")
    warn_of_equal([f'n{index}' for index in range(8)], torch.ones(8, 3))
    assert said[1].endswith("'n0' and 'n5', ... (28 in all)")
