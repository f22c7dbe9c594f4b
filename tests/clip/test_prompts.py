import pytest
import torch

from clipself_mm.clip.prompts import PROMPT_TEMPLATES, average_prompts, expand_prompts


def test_templates_are_the_63_of_vild():
    assert len(PROMPT_TEMPLATES) == len(set(PROMPT_TEMPLATES)) == 63
    assert all('{}' in template for template in PROMPT_TEMPLATES)


@pytest.mark.parametrize(
    ('name', 'prompt'),
    [
        ('traffic light', 'This is a photo of a traffic light.'),
        ('egg_cup', 'This is a photo of an egg cup.'),
        ('Egg', 'This is a photo of a egg.'),
        ('bow/tie', 'This is a photo of a bow or tie.'),
        ('hair spray...', 'This is a photo of a hair spray.'),
        ('{brace}', 'This is a photo of a {brace}.'),
    ],
)
def test_names(name, prompt):
    assert expand_prompts(name, ['a photo of {article} {}.']) == [prompt]


def test_only_a_and_the_get_the_prefix():
    templates = ['itap of my {}.', 'the {}.', 'There is {article} {}.', 'art of {}.']
    assert expand_prompts('owl', templates) == [
        'itap of my owl.',
        'This is the owl.',
        'There is an owl.',
        'This is art of owl.',
    ]


def test_empty_name():
    with pytest.raises(ValueError, match='empty'):
        expand_prompts('')


def test_average_weighs_prompts_equally():
    # Lengths 10 and 1 must not matter: the mean points between the two axes.
    embeddings = torch.tensor([[[10.0, 0.0], [0.0, 1.0]]])
    expected = torch.full((1, 2), 0.5**0.5)
    torch.testing.assert_close(average_prompts(embeddings), expected)


def test_average_needs_three_dimensions():
    with pytest.raises(ValueError, match=r'\(K, P, D\), got \(4, 2\)'):
        average_prompts(torch.zeros(4, 2))
