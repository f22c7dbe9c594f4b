"""The command `clipself-mm`: its commands are the tools, and it runs them as they are."""

import subprocess
import sys

import pytest

import clipself_mm_command
from clipself_mm.version import __version__
from clipself_mm_command import ALIASES, LEFT_OUT, describe, find_tools, main
from tests.commands import ROOT, call_on_two, options


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A checkout whose only tool prints its words and ends with 3; `__main__` is put back."""
    (tmp_path / 'tools').mkdir()
    path = tmp_path / 'tools/say_words.py'
    lines = ['"""Say words: tools/say_words.py A B."""', 'import sys', 'print(__name__, sys.argv)']
    path.write_text('\n'.join([*lines, 'sys.exit(3)']))
    monkeypatch.setattr(clipself_mm_command, 'HERE', tmp_path)
    monkeypatch.setattr(sys, 'argv', ['clipself-mm'])
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])
    return path


def test_every_tool_is_a_command_or_left_out_with_a_reason():
    tools = {path.stem for path in ROOT.glob('tools/*.py')}
    assert {path.stem for path in find_tools().values()} == tools - LEFT_OUT.keys()
    assert LEFT_OUT.keys() <= tools
    assert {*ALIASES.values()} <= tools
    assert find_tools()['detect'].name == 'image_demo.py'
    assert find_tools()['check-data'].name == 'check_data.py'


def test_every_command_is_described_in_its_own_words():
    for name, path in find_tools().items():
        text = describe(path)
        assert text[0].isupper(), name
        assert 'tools/' not in text, name
        assert path.read_text().lstrip('r"').startswith(text)


def test_help_is_quick(tmp_path):
    """Without torch, whose import takes seconds."""
    program = 'import sys, clipself_mm_command as c; c.main(); print("torch" in sys.modules)'
    command = [sys.executable, '-c', program, '--help']
    env = {'PYTHONPATH': str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    *lines, torch_is_there = done.stdout.splitlines()
    assert torch_is_there == 'False'
    assert any(line.split()[:2] == ['train', 'Train'] for line in lines)


def test_a_tool_gets_its_words_and_gives_its_exit_code(tool, capsys):
    with pytest.raises(SystemExit) as end:
        main(['say-words', '--loud', 'b c'])
    assert end.value.code == 3
    assert capsys.readouterr().out == "__main__ ['clipself-mm say-words', '--loud', 'b c']\n"


def test_the_words_are_those_of_the_command_line(tool, monkeypatch, capsys):
    for words in ([], ['-h'], ['--help']):
        monkeypatch.setattr(sys, 'argv', ['clipself-mm', *words])
        main()
        assert '\n  say-words  Say words\n' in capsys.readouterr().out


@pytest.mark.parametrize('wrong', ['say-word', 'say_words', 'sya-words'])
def test_an_unknown_command_is_told_with_similar_ones(tool, wrong, capsys):
    with pytest.raises(SystemExit) as end:
        main([wrong])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said == f'clipself-mm: error: there is no {wrong!r}: try say-words\n'


def test_a_tool_is_found_by_its_own_name_too(capsys):
    with pytest.raises(SystemExit):
        main(['image_demo'])
    assert 'try detect' in capsys.readouterr().err


def test_version(capsys):
    main(['--version'])
    assert capsys.readouterr().out == f'{__version__}\n'


def test_help_of_a_command_is_that_of_its_tool(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [])
    monkeypatch.setattr(sys, 'path', [*sys.path])
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])
    with pytest.raises(SystemExit) as end:
        main(['detect', '--help'])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith('usage: clipself-mm detect [-h]')
    assert '--score-thr' in said


@pytest.mark.slow
def test_two_processes_train_a_config_of_the_package(shapes, micro_clip, tmp_path):
    """As `torchrun --nproc-per-node 2 -m clipself_mm train NAME --launcher pytorch`, anywhere."""
    name = 'clipself_tiny_patches_shapes-ov'
    overrides = options(shapes, micro_clip, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=2')
    command = [ROOT / 'clipself_mm/__main__.py', 'train', name, '--cfg-options', *overrides]
    call_on_two(*command, cwd=tmp_path)
    assert (tmp_path / f'work_dirs/{name}/tower/open_clip_model.safetensors').is_file()
