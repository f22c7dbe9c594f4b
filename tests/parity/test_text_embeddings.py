"""Prompts and their average against the release's text embedding tools."""

import pytest
import torch

from clipself_mm.clip.prompts import average_prompts, expand_prompts
from tests.parity.fixtures import GoldenFile, fixture_json

pytestmark = pytest.mark.parity


def test_prompts():
    recorded = fixture_json('text_embeddings.json')
    assert recorded
    for class_name, prompts in recorded.items():
        assert expand_prompts(class_name) == prompts


def test_average():
    golden = GoldenFile('text_embeddings')
    embeddings = torch.from_numpy(golden.inputs['prompt_embeddings'])
    golden.check('class_embeddings', average_prompts(embeddings))
    golden.finish()
