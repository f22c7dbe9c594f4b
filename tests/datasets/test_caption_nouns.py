"""Nouns in captions, worked by hand."""

import pytest

from clipself_mm.datasets import CaptionNouns, Vocabulary, load_vocabulary
from clipself_mm.datasets.annotations.nouns import plural_forms, spell_name, split_words


def found(classes, *captions, **synonyms):
    nouns = CaptionNouns(Vocabulary('test', tuple(classes), synonyms=synonyms))
    return [classes[label] for label in nouns(captions)]


@pytest.mark.parametrize(
    ('word', 'plural'),
    [
        ('cat', 'cats'),
        ('bus', 'buses'),
        ('box', 'boxes'),
        ('bench', 'benches'),
        ('dish', 'dishes'),
        ('puppy', 'puppies'),
        ('toy', 'toys'),
        ('knife', 'knives'),
        ('bookshelf', 'bookshelves'),
        ('scarf', 'scarves'),
        ('scarf', 'scarfs'),
        ('roof', 'roofs'),
        ('giraffe', 'giraffes'),
        ('cafe', 'cafes'),
        ('tomato', 'tomatoes'),
        ('photo', 'photos'),
        ('man', 'men'),
        ('woman', 'women'),
        ('fireman', 'firemen'),
        ('ottoman', 'ottomans'),
        ('child', 'children'),
        ('person', 'people'),
        ('person', 'persons'),
        ('mouse', 'mice'),
        ('goose', 'geese'),
        ('tooth', 'teeth'),
        ('foot', 'feet'),
        ('y', 'ies'),
    ],
)
def test_plurals(word, plural):
    assert plural in plural_forms(word)


@pytest.mark.parametrize(
    ('word', 'other'), [('cafe', 'caves'), ('safe', 'saves'), ('toy', 'toies'), ('bus', 'buss')]
)
def test_words_that_are_not_plurals(word, other):
    assert other not in plural_forms(word)


def test_words_and_clauses():
    assert split_words("The dog's T-shirt, old_hat (red)") == [
        ('the', 'dog', 't', 'shirt'),
        ('old', 'hat'),
        ('red',),
        (),
    ]
    assert split_words('Two dogs\u2019 bowls; a child\u2019s') == [
        ('two', 'dogs', 'bowls'),
        ('a', 'child'),
    ]


@pytest.mark.parametrize(
    ('name', 'spelt'),
    [
        ('arctic_(type_of_shoe)', [('arctic',)]),
        ('Band_Aid', [('band', 'aid')]),
        ('cup/coffee mug', [('cup',), ('coffee', 'mug')]),
        ('(nothing)', []),
    ],
)
def test_spelling_of_class_names(name, spelt):
    assert spell_name(name) == spelt


def test_nouns_of_all_captions_are_unique_and_sorted():
    classes = ['dog', 'cat', 'bus', 'tree']
    assert found(classes, 'A bus by a cat.', 'Buses! And two CATS', 'nothing here') == [
        'cat',
        'bus',
    ]
    assert found(classes) == []


def test_only_whole_words_match():
    assert found(['cat', 'car', 'ring'], 'A string of cattle near a carpet, scars') == []


def test_the_longest_name_matches_first():
    classes = ['dog', 'hot dog', 'hot dog stand', 'stand']
    assert found(classes, 'a hot dog stand') == ['hot dog stand']
    assert found(classes, 'hot dogs, and a dog by a stand') == ['dog', 'hot dog', 'stand']
    # Not the one further left, if it is shorter.
    assert found(['a b', 'b c d'], 'a b c d') == ['b c d']
    # Of equal length the one further left.
    assert found(['a b', 'b c'], 'a b c') == ['a b']


def test_names_do_not_match_across_a_comma():
    assert found(['baseball bat'], 'he plays baseball, bat in hand') == []
    assert found(['baseball bat'], 'a baseball-bat') == ['baseball bat']


def test_only_the_last_word_of_a_name_matches_in_the_plural():
    assert found(['tennis racket'], 'two tennis rackets') == ['tennis racket']
    assert found(['tennis racket'], 'tenniss racket') == []


def test_synonyms_match_their_class():
    assert found(['couch', 'person'], 'Women on two sofas', couch=('sofa',), person=('woman',)) == [
        'couch',
        'person',
    ]


def test_one_spelling_of_two_classes_matches_both():
    classes = ['bow_(weapon)', 'bow_(decorative_ribbons)', 'arrow']
    assert found(classes, 'a red bow') == classes[:2]


def test_a_class_name_is_not_the_plural_of_another():
    assert found(['glass', 'glasses'], 'a man in glasses') == ['glasses']
    assert found(['glass'], 'a man in glasses') == ['glass']


def test_captions_of_shapes_have_the_nouns_of_their_classes():
    classes = load_vocabulary('shapes_ov_panoptic').classes
    nouns = CaptionNouns(load_vocabulary('shapes_ov_panoptic'))
    caption = 'there is grass, a red star and a purple hourglass'
    assert [classes[label] for label in nouns([caption])] == [
        'red star',
        'purple hourglass',
        'grass',
    ]
