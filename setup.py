"""Installs the package.

Configs, projects, tools and model-index.yml travel with it as `clipself_mm/.mim`, where `mim` looks
for them: copies in a wheel, links in a checkout. Only the tools can import the projects there: they
put the folder above their own on `sys.path`. `mim` asks for the folder of the installed
distribution, which is site-packages for an editable installation too, so that gets a `.mim` of its
own, whose files lead to the checkout's configs and tools.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

HERE = Path(__file__).resolve().parent
PACKAGE = 'clipself_mm'
COMMAND = 'clipself_mm_command'
MIM_FOLDERS = ('configs', 'projects', 'tools')
MIM_INDEX = 'model-index.yml'

# mmcv is in no list: its ops need build flags, which a requirement cannot carry (README).
REQUIRED = [
    'matplotlib',
    'numpy',
    'open_clip_torch>=3.3,<4',
    'pillow',
    'pycocotools',
    'safetensors',
    'timm>=1.0.15',
    'torch>=2.1',
    'torchvision',
    'tqdm',
]
EXTRAS = {
    'mm': ['onedl-mmengine>=0.10.8', 'onedl-mmdetection>=3.5,<4'],
    'seg': ['onedl-mmsegmentation>=1.4'],
    'mm-openmmlab': ['mmengine>=0.10.7', 'mmdet>=3.3,<3.4'],
    'seg-openmmlab': ['mmsegmentation>=1.2'],
    'lvis': ['faster-coco-eval>=1.6'],
    'hf': ['transformers>=4.55'],
    'onnx': ['onnx>=1.16', 'onnxruntime>=1.18'],
    'wds': ['webdataset>=1.0'],
    'cache': ['lmdb>=1.4'],
    'supervision': ['supervision>=0.22'],
    'video': ['av>=14', 'lap>=0.5.12'],
    'web': ['gradio>=6,<7'],
    'docs': ['mkdocs-material>=9.5', 'mkdocstrings[python]'],
    'dev': ['codespell', 'mypy', 'nbmake', 'playwright', 'pytest', 'pytest-xdist', 'ruff'],
}


class BuildWithMim(build_py):
    """Adds `.mim` to what is built: links in a checkout, copies in a wheel."""

    def run(self) -> None:
        """Builds the package, then fills its `.mim`."""
        super().run()
        editable = getattr(self, 'editable_mode', False)
        mim = (HERE if editable else Path(self.build_lib)) / PACKAGE / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in (*MIM_FOLDERS, MIM_INDEX):
            if editable:
                (mim / name).symlink_to(Path('..', '..', name))
            elif name == MIM_INDEX:
                shutil.copy2(HERE / name, mim / name)
            else:
                shutil.copytree(
                    HERE / name, mim / name, ignore=shutil.ignore_patterns('__pycache__')
                )


class EditableWithMim(editable_wheel):
    """Adds files that lead to the checkout's configs and tools to an editable installation."""

    def run(self) -> None:
        """Builds the wheel, then adds the files to it."""
        super().run()
        (wheel,) = Path(self.dist_dir).glob(f'{PACKAGE}-*.whl')
        with ZipFile(wheel) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        files.update(mim_signposts())
        record = next(name for name in files if name.endswith('.dist-info/RECORD'))
        lines = [record_line(name, data) for name, data in files.items() if name != record]
        files[record] = '\n'.join([*lines, f'{record},,', '']).encode()
        with ZipFile(wheel, 'w', ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)


def mim_signposts() -> dict[str, bytes]:
    """Path in site-packages -> content: for each config and tool, a file that runs the original.

    Projects need none: the original tool finds those beside it.
    """
    texts = {MIM_INDEX: (HERE / MIM_INDEX).read_text(encoding='utf-8')}
    for path in sorted(HERE.glob('configs/**/*.py')):
        texts[path.relative_to(HERE).as_posix()] = f'_base_ = {str(path)!r}\n'
    for path in sorted(HERE.glob('tools/**/*.py')):
        texts[path.relative_to(HERE).as_posix()] = (
            f"import runpy\n\nrunpy.run_path({str(path)!r}, run_name='__main__')\n"
        )
    return {f'{PACKAGE}/.mim/{name}': text.encode() for name, text in texts.items()}


def record_line(name: str, data: bytes) -> str:
    """A file's line in a wheel's RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
    return f'{name},sha256={digest},{len(data)}'


def read_version() -> str:
    """The version, read without importing the package, whose dependencies may not be there yet."""
    scope: dict[str, str] = {}
    exec((HERE / PACKAGE / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


if __name__ == '__main__':
    setup(
        name=PACKAGE,
        version=read_version(),
        description='CLIPSelf for MMDetection: CLIP ViTs that distil their own dense features',
        long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
        long_description_content_type='text/markdown',
        license='Apache-2.0',
        python_requires='>=3.10',
        # Named although it is the default: then an editable installation is a plain .pth file.
        package_dir={'': '.'},
        packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
        py_modules=[COMMAND],
        entry_points={'console_scripts': [f'clipself-mm = {COMMAND}:main']},
        package_data={
            PACKAGE: ['py.typed'],
            f'{PACKAGE}.clip': ['*.json'],
            f'{PACKAGE}.datasets': ['vocabularies/*'],
            f'{PACKAGE}.shapes': ['tiny_clip/*', 'tiny_fvit/*'],
            f'{PACKAGE}.web': ['*.css'],
        },
        include_package_data=False,
        zip_safe=False,
        install_requires=REQUIRED,
        extras_require=EXTRAS,
        cmdclass={'build_py': BuildWithMim, 'editable_wheel': EditableWithMim},
        classifiers=[
            'Development Status :: 4 - Beta',
            'Programming Language :: Python :: 3.10',
            'Programming Language :: Python :: 3.11',
            'Programming Language :: Python :: 3.12',
            'Typing :: Typed',
            'Topic :: Scientific/Engineering :: Image Recognition',
        ],
    )
