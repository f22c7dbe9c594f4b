"""Pixels for a tower: normalisation in both units, padding."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clipself_mm.clip import CLIP_MEAN, CLIP_STD
from clipself_mm.models import check_normalisation, pad_right_below, round_up

TOWER = SimpleNamespace(mean=CLIP_MEAN, std=CLIP_STD)


class Preprocessor(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1))


def test_the_same_constants_in_both_units():
    check_normalisation(Preprocessor(CLIP_MEAN, CLIP_STD), TOWER, max_value=1)
    mean, std = [122.771, 116.746, 104.094], [68.501, 66.632, 70.323]  # as configs write them
    check_normalisation(Preprocessor(mean, std), TOWER, max_value=255)


@pytest.mark.parametrize('white', [1, 255])
@pytest.mark.parametrize('name', ['mean', 'std'])
def test_wrong_constants_raise(white, name):
    given = {key: [white * value for value in getattr(TOWER, key)] for key in ('mean', 'std')}
    given[name][2] += 0.001 * white
    with pytest.raises(ValueError, match=rf'{name}=\[.*Preprocessor'):
        check_normalisation(Preprocessor(**given), TOWER, white)


def test_missing_normalisation_raises():
    with pytest.raises(ValueError, match='mean=None'):
        check_normalisation(nn.Identity(), TOWER, 255)


def test_padding():
    assert [round_up(side, 4) for side in (1, 4, 5)] == [4, 4, 8]
    images = [torch.ones(3, 2, 3), torch.full((3, 4, 1), 2.0)]
    colour = torch.tensor([-1.0, -2.0, -3.0]).view(3, 1, 1)
    padded = pad_right_below(images, 4, 4, colour)
    assert padded[0, 1].tolist() == [[1, 1, 1, -2]] * 2 + [[-2] * 4] * 2
    assert padded[1, 2].tolist() == [[2, -3, -3, -3]] * 4
    dark = pad_right_below([image.byte() for image in images], 4, 4)
    assert dark.dtype == torch.uint8
    assert dark.flatten(1).sum(1).tolist() == [18, 24]
    with pytest.raises(ValueError, match=r'4 x 1.*3 x 4'):
        pad_right_below(images, 3, 4)
