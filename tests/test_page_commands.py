"""docs/paper-numbers.md can be followed from its top; commands of other pages exist."""

import re

import pytest

from tests.page_commands import (
    ROOT,
    commands,
    problems,
    problems_of_single_commands,
    single_commands,
)

PAGES = [
    *ROOT.glob('*.md'),
    *(path for name in ('docs', 'configs', 'projects') for path in (ROOT / name).rglob('*.md')),
]
PAGE = (ROOT / 'docs/paper-numbers.md').read_text()
B16 = 'configs/fvit/fvit_eva02-b16_8xb8-3e_ov-coco.py'
PATCHES = 'configs/clipself/clipself_eva02-b16_patches_1xb2-44k_coco.py'
TOWER = 'model.tower.checkpoint=work_dirs/clipself_eva02-b16_patches_1xb2-44k_coco'


def test_every_command_of_the_page():
    assert problems(PAGE) == []
    assert len([*commands(PAGE)]) > 40


@pytest.mark.parametrize(
    ('right', 'wrong', 'complaint'),
    [
        (f'tools/train.py {PATCHES} --amp', f'tools/train.py {PATCHES} --apm', 'apm'),
        ('--fits configs', '--fit-to configs', '--fit-to'),
        (f'{PATCHES} --amp', PATCHES.replace('44k', '45k') + ' --amp', '45k_coco.py is not there'),
        ('tools/check_data.py', 'tools/check_files.py', 'tools/check_files.py is not there'),
        ('model.backbone.tower', 'model.backbone.towers', 'the config has no towers'),
        ('options model.backbone.tower', 'options model.backbones.tower', 'has no backbones'),
        (TOWER, TOWER.replace('patches', 'cells'), 'no training above writes'),
        ('checkpoints/fvit_b16_patches.pth 8', 'checkpoints/fvit.pth 8', 'not named further up'),
        ('best_coco_novel_ap50_epoch_*', 'best_novel_epoch_*', 'keeps best_coco_novel_ap50_epoch'),
        ('coco-panoptic.py "" 8', 'coco-panoptic.py ""', 'the number of GPUs is missing'),
        ('make env STACK', 'make env STAK', 'the Makefile has no STAK'),
        ('-r requirements/build-openmmlab', '-r requirements/openmmlab', 'is not there'),
        ('images.cocodataset.org', 'images.example.org', 'example.org is no known publisher'),
        ('hf download', 'hub download', 'hub is not known'),
        ('--proposals data', '--proposal-file data', '--proposal-file'),
        ('--to open_clip', '--to openclip', 'openclip'),
        ('python tools/train.py', 'clipself-mm trian', 'there is no command trian'),
        ('--amp', '--amp\nclipself-mm train none', 'no config of this name'),
    ],
)
def test_a_page_with_a_mistake_is_found(right, wrong, complaint):
    assert right in PAGE
    found = problems(PAGE.replace(right, wrong))
    assert found
    assert complaint in '\n'.join(found)


def test_a_tower_that_is_made_too_late_is_found():
    """F-ViT of step 9 reads what step 7 leaves; without that the page cannot be followed."""
    found = problems(re.sub(rf'^python tools/train.py {PATCHES}.*\n', '', PAGE, flags=re.MULTILINE))
    assert any(B16 in line and 'no training above writes' in line for line in found)


@pytest.mark.parametrize('path', sorted(PAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_single_commands_of_the_other_pages(path):
    assert problems_of_single_commands(path.read_text()) == []


def test_calls_of_make_are_found():
    page = (ROOT / 'CONTRIBUTING.md').read_text()
    assert len([words for words in single_commands(page) if words[0] == 'make']) > 4
    found = problems_of_single_commands(page.replace('make test TESTS', 'make test TEST'))
    assert 'the Makefile has no TEST' in found[0]


def test_single_commands_are_found():
    page = (ROOT / 'docs/proposals.md').read_text()
    assert len([*single_commands(page)]) > 8
    found = problems_of_single_commands(page.replace('_1xb2-44k_coco.py', '_1xb2-6e_coco.py'))
    assert '1xb2-6e_coco.py is not there' in found[0]
