"""The size of the image that dense features are taken of, found and set in any config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmengine.config import Config


def find_transforms(node: object, name: str) -> Iterator[dict]:
    """Every transform of a type below a node of a config, whatever wraps its data set.

    Args:
        node: A data set's config, or a part of it.
        name: Type of the transform, without a registry's prefix.

    Yields:
        The transforms' configs themselves, to be changed in place.
    """
    if isinstance(node, dict):
        if type_name(node) == name:
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for part in node:
            yield from find_transforms(part, name)


def type_name(node: object) -> str | None:
    """The type a config names, by word or by class, without a prefix; None if it names none."""
    kind = node.get('type') if isinstance(node, dict) else None
    return None if kind is None else getattr(kind, '__name__', str(kind)).rpartition('.')[2]


def input_size(config: Config) -> int:
    """Side in pixels of the padded square that a config's test images are brought to.

    Raises:
        ValueError: The config has no ``ResizeLongest`` in its test pipeline or no ``image_size`` of
            the preprocessor, or they do not agree.
    """
    if config.get('test_dataloader') is None:
        raise ValueError(f'{config.filename}: expected a test_dataloader to measure with')
    resizes = list(find_transforms(config.test_dataloader.dataset, 'ResizeLongest'))
    if not resizes:
        raise ValueError(f'{config.filename}: no ResizeLongest in the pipeline of test_dataloader')
    padded = config.model.get('data_preprocessor', {}).get('image_size')
    if padded is None:
        raise ValueError(f'{config.filename}: expected an image_size in model.data_preprocessor')
    sizes = {resize['size'] for resize in resizes}
    if sizes != {padded}:
        raise ValueError(
            f'{config.filename}: ResizeLongest names {sorted(sizes)} px, '
            f'model.data_preprocessor.image_size {padded}; expected one size'
        )
    return padded


def set_input_size(config: Config, size: int) -> None:
    """Bring a config's test images to another size, in its pipeline and its preprocessor.

    Args:
        config: Changed in place.
        size: Side of the padded square in pixels.

    Raises:
        ValueError: See ``input_size``.
    """
    input_size(config)
    for resize in find_transforms(config.test_dataloader.dataset, 'ResizeLongest'):
        resize['size'] = size
    config.model.data_preprocessor.image_size = size


def check_sizes(sizes: Sequence[int], patch_size: int) -> None:
    """Refuse sizes that a tower cannot divide into whole patches.

    Args:
        sizes: Sides in pixels.
        patch_size: Side of a token in pixels.

    Raises:
        ValueError: There is none, one is doubled, or one is no multiple; names its neighbours.
    """
    if not sizes or len(set(sizes)) != len(sizes):
        raise ValueError(f'expected different sizes, at least one, got {list(sizes)}')
    wrong = [size for size in sizes if size < patch_size or size % patch_size]
    if wrong:
        pairs = [(size // patch_size * patch_size, size) for size in wrong]
        advice = [
            f'{size} (allowed near it: {f"{below} and " if below > 0 else ""}{below + patch_size})'
            for below, size in pairs
        ]
        raise ValueError(
            f'sizes must be multiples of the {patch_size} px of a patch, got {", ".join(advice)}'
        )
