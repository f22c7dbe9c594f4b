"""Images without annotation: enough for distillation from patches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mmengine.fileio import join_path
from mmengine.registry import DATASETS

from .annotations.image_listing import EXTENSIONS, lower_extensions, read_listing, scan_images
from .image_regions import ImageRegions


@DATASETS.register_module()
class UnlabelledImages(ImageRegions):
    """Images of a folder or of a list file, for patches as regions (paper, section 3.2).

    A sample starts with `img_id` (the path in the folder or list), `img_path` and `rng_key`. It has
    no `boxes_xywh`: use `GridRegions` in `SampleRegions`.

    With `test_mode=True` the metainfo says that there is no json (`ann_file` is None), so that
    `ProposalJsonWriter` lists the images itself.

    Args:
        source: Folder or list file, relative to `data_root`. A folder is searched recursively and
            sorted by path. A list file has one path per line and keeps its order. Write a list with
            ``tools/list_images.py`` for a folder of millions of files: it is then searched once,
            not by every process of every run.
        data_prefix: `img`: root of the paths of a list file, by default `data_root`. Ignored for a
            folder.
        extensions: File extensions of images in a folder, with the dot, in any case.
        **kwargs: As in `ImageRegions`, including `on_bad_image`.
    """

    def __init__(
        self,
        source: str,
        data_prefix: dict | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        **kwargs: Any,
    ) -> None:
        self.extensions = lower_extensions(extensions)
        super().__init__(ann_file=source, data_prefix=data_prefix, **kwargs)
        if self.test_mode:
            self._metainfo.update(ann_file=None)

    def load_data_list(self) -> list[dict]:
        """Search the folder or read the list.

        Returns:
            One dict per image with `img_id` and `img_path`.

        Raises:
            FileNotFoundError: There is no such folder or file.
            ValueError: It has no image.
        """
        if os.path.isdir(self.ann_file):
            prefix, names = self.ann_file, scan_images(self.ann_file, self.extensions)
        else:
            prefix = self.data_prefix['img']
            names = read_listing(self.ann_file, self.backend_args)
        infos = [
            dict(img_id=name, img_path=join_path(prefix, name) if prefix else name)
            for name in names
        ]
        self.report(infos)
        return infos
