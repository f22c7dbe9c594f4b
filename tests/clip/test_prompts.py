import json

import pytest
import torch

from clipself_mm.clip.prompts import (
    PROMPT_TEMPLATES,
    average_names,
    average_prompts,
    check_templates,
    expand_prompts,
    read_templates,
)


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
def test_prompt_of_a_name(name, prompt):
    assert expand_prompts(name, ['a photo of {article} {}.']) == [prompt]


def test_prompts_with_a_or_the_get_the_prefix():
    templates = ['itap of my {}.', 'the {}.', 'There is {article} {}.', 'art of {}.']
    assert expand_prompts('owl', templates) == [
        'itap of my owl.',
        'This is the owl.',
        'There is an owl.',
        'This is art of owl.',
    ]


def test_empty_name_raises():
    with pytest.raises(ValueError, match="''"):
        expand_prompts('')


def test_average_weighs_prompts_equally():
    # Lengths 10 and 1 must not matter: the mean points between the two axes.
    embeddings = torch.tensor([[[10.0, 0.0], [0.0, 1.0]]])
    expected = torch.full((1, 2), 0.5**0.5)
    torch.testing.assert_close(average_prompts(embeddings), expected)


def test_average_of_two_dimensions_raises():
    with pytest.raises(ValueError, match=r'\(K, P, D\).*\(4, 2\)'):
        average_prompts(torch.zeros(4, 2))


def test_average_of_names_by_hand():
    # The first class points between its two names, the second keeps its only one.
    names = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    expected = torch.tensor([[0.5**0.5, 0.5**0.5], [0.6, 0.8]])
    torch.testing.assert_close(average_names(names, [2, 1]), expected)


@pytest.mark.parametrize('counts', [[1, 1], [3, 0], [2, 2]])
def test_invalid_counts_of_names_raise(counts):
    with pytest.raises(ValueError, match=rf'\b3\b.*\[{counts[0]}, {counts[1]}\]'):
        average_names(torch.eye(3), counts)


SET = ('a photo of {article} {}.', '{} indoors')


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('list.json', json.dumps(SET)),
        ('object.json', json.dumps(dict(templates=SET, source='mine'))),
        ('lines.txt', 'a photo of {article} {}.\n\n  {} indoors \n'),
        ('windows.txt', '\ufeffa photo of {article} {}.\r\n{} indoors\r\n'),
        ('windows.json', '\ufeff' + json.dumps(SET)),
    ],
)
def test_prompt_files_are_read(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding='utf-8')
    assert read_templates(tmp_path / name) == SET


def test_packaged_prompts_are_valid():
    assert check_templates(PROMPT_TEMPLATES) == PROMPT_TEMPLATES


@pytest.mark.parametrize(
    ('name', 'text', 'complaint'),
    [
        ('lacks.txt', '{} here\na photo\n', "'a photo'"),
        ('twice.txt', '{} and {}', "'{} and {}'"),
        ('other.txt', 'a {} of {color}', "'a {} of {color}'"),
        ('article.txt', 'only {article}', "'only {article}'"),
        ('escaped.txt', 'a {{}}', "'a {{}}'"),
        ('brace.txt', 'a {} {', "'a {} {'"),
        ('empty.txt', '\n', r'\[\]'),
        ('word.json', '"a {}"', "'a {}'"),
        ('number.json', '[1]', r'json.*\b1\b'),
        ('keys.json', '{"prompts": ["{}"]}', 'None'),
        ('cut.json', '["{}"', r'cut\.json'),
        ('set.yaml', '- "{}"', r'\.json.*\.txt.*\.yaml'),
    ],
)
def test_invalid_prompt_files_raise(tmp_path, name, text, complaint):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=complaint) as caught:
        read_templates(tmp_path / name)
    assert name in str(caught.value)


def test_missing_prompt_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.txt'):
        read_templates(tmp_path / 'none.txt')
