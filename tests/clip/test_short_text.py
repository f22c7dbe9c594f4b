"""Prompts without the empty end of the context embed as with it."""

import pytest
import torch
from open_clip.transformer import TextTransformer

from clipself_mm.clip.text_tower import encode_short

SIZES = dict(context_length=9, vocab_size=20, width=32, heads=2, layers=2, output_dim=8)
TOKENS = torch.tensor([[1, 5, 19, 0, 0, 0, 0, 0, 0], [1, 3, 4, 6, 19, 0, 0, 0, 0]])


def build(**kwargs):
    torch.manual_seed(0)
    return TextTransformer(**SIZES, **kwargs).eval()


@pytest.mark.parametrize('bias', [False, True])
def test_tokens_after_the_end_token_are_skipped_without_effect(bias):
    text, lengths = build(proj_bias=bias), []
    text.transformer.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    expected = text(TOKENS)
    found = encode_short(text, TOKENS)
    torch.testing.assert_close(found, expected)
    assert lengths == [9, 5]


@pytest.mark.parametrize('kind', [dict(pool_type='last'), dict(no_causal_mask=True)])
def test_other_towers_run_on_all_tokens(kind):
    text = build(**kind)
    assert torch.equal(encode_short(text, TOKENS), text(TOKENS))
