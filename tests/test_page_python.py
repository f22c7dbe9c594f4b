"""Blocks of Python and json in the pages: they run as a reader would run them.

A block that cannot run says so in its first line: `# Not run by the tests: REASON`. What a page's
files are called (image.png, config.py, checkpoint.pth) lies in the folder where its blocks run.
Plain `exec` does it: the blocks need these files and one rule for configs, and a plugin for it
would be one dependency more in both environments.
"""

import json
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from clipself_mm.datasets import load_vocabulary
from tests.detection.tiny_fvit import write_detector
from tests.page_commands import ROOT

PAGES = sorted(
    path
    for path in (
        *ROOT.glob('*.md'),
        *(ROOT / '.github').rglob('*.md'),
        *(
            path
            for name in ('docs', 'configs', 'projects', 'clipself_mm')
            for path in (ROOT / name).rglob('*.md')
        ),
    )
    if '.mim' not in path.parts
)
NOT_RUN = '# Not run by the tests: '
CHECKOUT = '/path/to/clipself_mm'
"""What pages call the checkout."""


def blocks(page, language):
    """Fenced blocks of one language."""
    return re.findall(rf'^```{language}\n(.*?)^```$', page, re.DOTALL | re.MULTILINE)


def runs(block):
    return not block.startswith(NOT_RUN)


def run(code, folder, namespace):
    """Run a block; one that inherits is read as a config, models of others have to exist."""
    code = code.replace(CHECKOUT, str(ROOT))
    exec(compile(code, 'block', 'exec'), namespace)
    if '_base_' in code:
        (folder / 'block.py').write_text(code)
        Config.fromfile(folder / 'block.py')
    unknown = [name for name in types_of(namespace.get('model')) if MODELS.get(name) is None]
    if unknown:
        raise ValueError(f'{unknown}: not registered in MODELS')


def types_of(node):
    """All values of `type` in a nested config."""
    if isinstance(node, (dict, list, tuple)):
        if isinstance(node, dict) and 'type' in node:
            yield node['type']
        for child in node.values() if isinstance(node, dict) else node:
            yield from types_of(child)


@pytest.fixture
def folder(micro_clip, tmp_path, monkeypatch):
    """Where blocks run."""
    write_detector(tmp_path, micro_clip)
    (tmp_path / 'clipself_mm').symlink_to(ROOT / 'clipself_mm')
    monkeypatch.chdir(tmp_path)
    init_default_scope('mmdet')
    return tmp_path


def pages_with(language):
    return [
        pytest.param(path, id=str(path.relative_to(ROOT)))
        for path in PAGES
        if any(map(runs, blocks(path.read_text(), language)))
    ]


@pytest.mark.parametrize('path', pages_with('python'))
def test_python_of_a_page(path, folder):
    namespace = {}
    for code in filter(runs, blocks(path.read_text(), 'python')):
        namespace.pop('model', None)
        run(code, folder, namespace)


def test_readme(folder):
    """What its comments say of boxes, shapes and lengths."""
    namespace = {}
    for code in blocks((ROOT / 'README.md').read_text(), 'python'):
        run(code, folder, namespace)
    found, entries, heat = (namespace[name] for name in ('found', 'entries', 'heat'))
    assert found.names == ['green star', 'blue ring']
    masks = ((7, 122, 53, 172), (32, 24, 115, 107))  # of the scene's objects
    assert abs(found.boxes - masks).max() < 8
    assert [entry['category_name'] for entry in entries] == found.names
    dense, labels = namespace['dense'], namespace['labels']
    assert (dense.shape, heat.shape, labels.shape) == ((128, 16, 16), (3, 256, 256), (16, 16))
    torch.testing.assert_close(dense.norm(dim=0), torch.ones_like(labels, dtype=torch.float32))


@pytest.mark.parametrize('path', pages_with('json'))
def test_json_of_a_page(path, tmp_path):
    for text in blocks(path.read_text(), 'json'):
        content = json.loads(text)
        if 'classes' in content:
            (tmp_path / 'vocabulary.json').write_text(text)
            vocabulary = load_vocabulary(str(tmp_path / 'vocabulary.json'))
            assert list(vocabulary.classes) == content['classes']


@pytest.mark.parametrize(
    ('code', 'error'),
    [
        ('from clipself_mm.clip import build_towers', ImportError),
        ("model = dict(losses=[dict(type='CosineDistilLoss')])", ValueError),
        (f"_base_ = ['{CHECKOUT}/configs/clipself/gone.py']", FileNotFoundError),
    ],
)
def test_a_block_with_a_mistake_is_found(code, error, tmp_path):
    init_default_scope('mmdet')
    with pytest.raises(error):
        run(code, tmp_path, {})
