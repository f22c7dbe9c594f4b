"""Vocabularies of a config: a data set of mm, a file, or a list."""

from argparse import ArgumentParser

import pytest

pytest.importorskip('mmseg')

from mmseg.registry import DATASETS

from clipself_mm.models import class_names, find_vocabulary, read_name_option, read_names


def test_vocabularies_by_data_set_name_and_list():
    ade = find_vocabulary('ADE20KDataset', DATASETS).classes
    assert (len(ade), ade[0], ade[-1]) == (150, 'wall', 'flag')
    assert len(find_vocabulary('PascalContextDataset59', DATASETS).classes) == 59
    assert len(find_vocabulary('COCOStuffDataset', DATASETS).classes) == 171
    assert len(find_vocabulary('shapes_ov_panoptic', DATASETS).classes) == 73
    assert find_vocabulary(('b', 'a'), DATASETS).classes == ('b', 'a')


def test_invalid_vocabularies_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="'NoDataset'"):
        find_vocabulary('NoDataset', DATASETS)
    with pytest.raises(FileNotFoundError, match=r'ade847\.json'):
        find_vocabulary(str(tmp_path / 'ade847.json'), DATASETS)
    with pytest.raises(ValueError, match=r'BaseSegDataset.*classes'):
        find_vocabulary('BaseSegDataset', DATASETS)
    with pytest.raises(ValueError, match='more than once'):
        find_vocabulary(['a', 'a'], DATASETS)


def test_names_of_a_prompt():
    assert read_names('red star. blue ring . red star.') == ['red star', 'blue ring']
    assert read_names(('a', ' b ')) == ['a', 'b']


@pytest.mark.parametrize(
    'text',
    [
        'cat, dog',
        'cat , dog .',
        'cat。dog',
        'cat;dog',
        'cat\ndog\n',
        'cat.dog',
        ' cat\uff0c\r\ndog',
        'cat. "dog"',
    ],
)
def test_separators_of_a_prompt(text):
    assert read_names(text) == ['cat', 'dog']


def test_names_with_points_and_commas():
    assert read_names('"St. Bernard", cat. "a, b"') == ['St. Bernard', 'cat', 'a, b']
    assert read_names('2.5 inch drive. cat 7. dog') == ['2.5 inch drive', 'cat 7', 'dog']
    assert read_names(['St. Bernard', 'a, b', '12" pipe']) == ['St. Bernard', 'a, b', '12" pipe']
    assert read_names('12" pipe, 6" pipe') == ['12" pipe', '6" pipe']
    assert read_names(['cafe\u0301', 'caf\xe9', 'red  star']) == ['café', 'red star']


@pytest.mark.parametrize('text', ['', ' . ', ',\n', [], ['', ' ']])
def test_prompt_without_a_name_raises(text):
    with pytest.raises(ValueError, match='expected class names, separated by full stops, commas'):
        read_names(text)


def test_doubled_and_near_equal_names_are_told_once(monkeypatch):
    said = []
    monkeypatch.setattr(class_names, 'print_log', lambda message, **_: said.append(message))
    for _ in range(2):
        names = read_names('tabby. Tabby. tabby, dog, T-shirt. t_shirt')
    assert names == ['tabby', 'Tabby', 'dog', 'T-shirt', 't_shirt']
    assert said == [
        "the class name 'tabby' is given 2 times and read once",
        "the class names 'tabby' and 'Tabby' are nearly equal, so are their scores",
        "the class names 'T-shirt' and 't_shirt' are nearly equal, so are their scores",
    ]


def test_option_of_a_tool(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'names.txt').write_text('St. Bernard\n\ncat; kitten\n')
    (tmp_path / 'names.json').write_text('{"classes": ["a, b", "c"]}')
    (tmp_path / 'empty.txt').write_text('\n')
    parser = ArgumentParser('tool')
    for values, names, said in (
        (['red star, blue ring'], ['red star', 'blue ring'], '2 class names: red star | blue ring'),
        (['St. Bernard', 'a, b'], ['St. Bernard', 'a, b'], '2 class names: St. Bernard | a, b'),
        (['names.txt'], ['St. Bernard', 'cat'], 'names.txt: --texts does not use the synonyms'),
        (['names.json'], ['a, b', 'c'], '2 class names: a, b | c'),
        (None, None, ''),
    ):
        assert read_name_option(parser, '--texts', values) == names
        assert said in capsys.readouterr().out
    for value, said in (('', "got ''"), ('none.txt', "'none.txt'"), ('empty.txt', 'no class')):
        with pytest.raises(SystemExit):
            read_name_option(parser, '--texts', [value])
        (last,) = capsys.readouterr().err.splitlines()[1:]
        assert last.startswith('tool: error: --texts: ')
        assert said in last
