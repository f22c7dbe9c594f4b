"""Pictures without any annotation, which is all that distillation from patches needs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mmengine.fileio import join_path
from mmengine.registry import DATASETS

from .annotations.image_listing import EXTENSIONS, lower_endings, read_listing, scan_images
from .image_regions import ImageRegions


@DATASETS.register_module()
class UnlabelledImages(ImageRegions):
    """Images of a folder or of a list file, for regions that need no box (paper, section 3.2).

    A sample starts as `img_id` (the path as the folder or list has it), `img_path` and `draw`. It
    has no `boxes_xywh`: the sampler of regions is `GridRegions`.

    Args:
        source: Folder, searched with all below it and sorted by path, or list file, one path a
            line in its order (``tools/list_images.py`` writes one: a folder of millions of files
            is then searched once and not by every process of every run). Relative to `data_root`.
        data_prefix: `img`: what the paths of a list file are relative to, `data_root` by default.
            Without effect on a folder.
        extensions: Endings of pictures in a folder, with their dot; capitals do not count.
        **kwargs: As in `ImageRegions`, `on_bad_image` among them.
    """

    def __init__(
        self,
        source: str,
        data_prefix: dict | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        **kwargs: object,
    ) -> None:
        self.extensions = lower_endings(extensions)
        super().__init__(ann_file=source, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Search the folder or read the list.

        Returns:
            One dict per image with `img_id` and `img_path`.

        Raises:
            FileNotFoundError: There is no such folder or file.
            ValueError: It has no picture; names it.
        """
        if os.path.isdir(self.ann_file):
            prefix, names = self.ann_file, scan_images(self.ann_file, self.extensions)
        else:
            prefix = self.data_prefix['img']
            names = read_listing(self.ann_file, self.backend_args)
        return [
            dict(img_id=name, img_path=join_path(prefix, name) if prefix else name)
            for name in names
        ]
