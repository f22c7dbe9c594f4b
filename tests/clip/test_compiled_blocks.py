"""Compiled blocks give the same features; few graphs serve all blocks and numbers of images."""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from clipself_mm.clip import build_tower, vit_tower
from clipself_mm.clip.build_tower import set_last_block
from tests.clip.small_towers import images_of, small_tower
from tests.commands import TORCH


@pytest.fixture
def graphs(monkeypatch):
    """What the compiler was given, by a backend that runs it as it is."""
    counter = CompileCounterWithBackend('eager')
    compiler = torch.compile
    monkeypatch.setattr(torch, 'compile', lambda method: compiler(method, backend=counter))
    vit_tower.compiled.cache_clear()
    torch._dynamo.reset()
    yield counter
    vit_tower.compiled.cache_clear()


@pytest.mark.skipif(TORCH < (2, 5), reason='this torch compiles each block for itself')
def test_compiled_blocks_are_the_blocks(graphs):
    plain, compiled = (small_tower('eva02', depth=4).train() for _ in range(2))
    compiled.load_state_dict(plain.state_dict())
    compiled.compile_blocks = True
    gradients = []
    for tower in (plain, compiled):
        tower.unlock_blocks()
        dense = tower.encode_dense(images_of(tower, 4, 3))
        dense[:, 0].square().sum().backward()
        gradients.append([p.grad for p in tower.parameters() if p.requires_grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        for count in (3, 8, 16):
            images = images_of(plain, 4, 4, count=count)
            torch.testing.assert_close(compiled.encode_image(images), plain.encode_image(images))
    # Of training: the first block, whose input needs no gradient, the others, the last one. Of
    # prediction: all but the last block, and the last, each of 3 images and of any number.
    assert graphs.frame_count <= 7
    for graph in graphs.graphs:
        named = [node for node in graph.graph.nodes if 'complex' in str(node.target)]
        assert not named, 'the compiler has no complex numbers'


@pytest.mark.skipif(TORCH < (2, 5), reason='this torch compiles each block for itself')
def test_compiled_value_branches_are_the_branches(graphs):
    plain, compiled = (small_tower('eva02') for _ in range(2))
    compiled.compile_blocks = True
    for tower in (plain, compiled):
        set_last_block(tower, 'values-2')
    with torch.no_grad():
        images = images_of(plain, 4, 3)
        torch.testing.assert_close(compiled.encode_dense(images), plain.encode_dense(images))
    assert graphs.frame_count == 2  # a block in full, a value branch


@pytest.mark.skipif(TORCH < (2, 5), reason='this torch compiles each block for itself')
def test_no_variant_of_a_block_is_left_uncompiled(graphs, monkeypatch):
    """Torch silently runs a function as it is once it has compiled a number of variants of it.

    Its number is 8; a training of ours has 6, and the validation before its first step 6 more.
    """
    monkeypatch.setattr(torch._dynamo.config, 'cache_size_limit', 1)
    tower = small_tower('eva02')
    tower.compile_blocks = True
    with torch.no_grad():
        tower.encode_image(images_of(tower, 4, 4))
    assert graphs.frame_count == 2  # all but the last block, and the last
    assert torch._dynamo.config.cache_size_limit >= 4 * (6 + 6)


def test_other_towers_have_no_blocks_to_compile():
    with pytest.raises(NotImplementedError, match='blocks to compile'):
        build_tower('RN50', compile_blocks=True)
