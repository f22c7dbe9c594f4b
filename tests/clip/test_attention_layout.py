"""What reaches the attention kernel in half precision is what torch's flash kernel takes.

The kernel is not on a processor. Its conditions (`sdp_utils.cpp`): one half dtype, no mask, no
dropout, heads of at most 256 channels in multiples of 8, channels next to each other in memory.
"""

import pytest
import torch

from clipself_mm.clip import attention
from tests.clip.small_towers import images_of, small_tower


@pytest.fixture
def passed(monkeypatch):
    """Arguments of each call of the kernel."""
    calls, kernel = [], torch.nn.functional.scaled_dot_product_attention

    def record(query, key, value, **options):
        calls.append(((query, key, value), options))
        return kernel(query, key, value, **options)

    monkeypatch.setattr(attention.F, 'scaled_dot_product_attention', record)
    return calls


@pytest.mark.parametrize('kind', ['eva02', 'patch16'])
@pytest.mark.parametrize('encode', ['encode_image', 'encode_dense'])
@pytest.mark.parametrize('under_autocast', [True, False])
def test_flash_takes_the_attention_of_a_step(passed, kind, encode, under_autocast):
    tower = small_tower(kind).train()
    tower.unlock_blocks()
    images = images_of(tower, 4, 3)
    if not under_autocast:  # a frozen tower whose weights are in half precision
        tower.freeze()
        tower, images = tower.to(torch.bfloat16), images.to(torch.bfloat16)
    with torch.autocast('cpu', torch.bfloat16, enabled=under_autocast):
        getattr(tower, encode)(images)
    assert len(passed) == len(tower.blocks) - (encode == 'encode_dense')
    for parts, options in passed:
        assert options.get('attn_mask') is None
        assert not options.get('dropout_p')
        for part in parts:
            assert part.dtype == torch.bfloat16
            assert part.ndim == 4
            assert part.stride(-1) == 1
            assert part.shape[-1] % 8 == 0
            assert all(stride % 8 == 0 for stride in part.stride()[:-1])  # 16 bytes
