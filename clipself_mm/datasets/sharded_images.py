"""Images in tar shards, for storage that is fast only when read sequentially."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from mmengine.fileio import join_path
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from .image_regions import ImageRegions
from .sharded.index import read_index
from .sharded.reading import IMAGE_SUFFIXES, ShardWindow


@DATASETS.register_module()
class ShardedImages(ImageRegions):
    """Images of WebDataset's tar shards, without annotation (needs the extra ``wds``).

    It is a map-style dataset: every image has an index. With `ShardSampler` and
    `InfiniteShardSampler` the shards are still read sequentially: each lane of each process reads
    its shards from front to back, and a resumed run does not open the shards that it skips. Any
    other sampler works, but reopens a shard for every image.

    A sample starts with `img_id` and `img_path` (shard and key), `img_bytes` and `rng_key`. It has
    no `boxes_xywh`: use `GridRegions` in `SampleRegions`.

    Args:
        source: Index of the shards, written by ``tools/make_shards.py``; relative to `data_root`.
        data_prefix: `img`: folder or URL of the shards, by default the folder of the index. With
            `pipe:` it is a command, and `{}` in it is replaced by the file name of the shard:
            ``pipe:aws s3 cp s3://bucket/shards/{} -``. `data_root` is not joined to a URL or
            command. Their shards may have letters, digits and ``. _ + = @ , - /`` in their names.
        window: Number of encoded images each lane keeps in memory; the sampler shuffles within
            windows of this size.
        suffixes: Suffixes of the image among the members of a sample; the first one present is
            used.
        **kwargs: As in `ImageRegions`, including `on_bad_image`.

    Attributes:
        counts: Number of images per shard, int64.
    """

    def __init__(
        self,
        source: str,
        data_prefix: dict | None = None,
        window: int = 256,
        suffixes: Sequence[str] = IMAGE_SUFFIXES,
        **kwargs: Any,
    ) -> None:
        if window < 1:
            raise ValueError(f'window is at least 1 image, not {window}')
        for name in ('filter_cfg', 'indices'):
            if kwargs.get(name):
                raise ValueError(
                    f'ShardedImages has no {name}: give an index with fewer shards instead'
                )
        self.window = window
        self.suffixes = tuple(suffixes)
        self._location = (data_prefix or {}).get('img')
        self._windows: dict[int, ShardWindow] = {}
        self._process = os.getpid()
        self._lane = 0
        self.counts: np.ndarray = np.zeros(0, np.int64)
        super().__init__(ann_file=source, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the index; returns one dict per shard, not per image.

        Raises:
            FileNotFoundError: There is no index.
            ValueError: It is broken or lists no image.
        """
        shards = read_index(self.ann_file, self.backend_args, self._location)
        self.counts = np.array([shard.images for shard in shards], np.int64)
        self._ends = np.cumsum(self.counts)
        print_log(
            f'{self.ann_file}: {self._ends[-1]:,} images in {len(shards):,} shards',
            logger='current',
        )
        return [dict(file=shard.file) for shard in shards]

    def __len__(self) -> int:
        """Number of images."""
        if not self._fully_initialized:
            self.full_init()
        return int(self._ends[-1])

    def prepare_data(self, idx: int) -> dict:
        """Run the pipeline on one image (see `ImageRegions`), read by the lane of its index."""
        self._lane = getattr(idx, 'lane', 0)
        return super().prepare_data(idx)

    def get_data_info(self, idx: int) -> dict:
        """Return the id, path and encoded bytes of an image.

        Args:
            idx: Index of the image; negative ones count from the end.

        Raises:
            ValueError: The shard is broken or does not match the index.
        """
        idx = range(len(self))[int(idx)]
        shard = int(np.searchsorted(self._ends, idx, side='right'))
        position = idx - int(self._ends[shard] - self.counts[shard])
        file = super().get_data_info(shard)['file']
        image = self._window_on(self.locate(file), int(self.counts[shard]))[position]
        name = f'{file}/{image.key}'
        return dict(
            img_id=name,
            img_path=f'{name}.{image.suffix}',
            img_bytes=image.content,
            sample_idx=idx,
        )

    def locate(self, file: str) -> str:
        """Path, URL or command of a shard by its file name."""
        if self._location is None:
            return join_path(str(PurePosixPath(self.ann_file).parent), file)
        if self._location.startswith('pipe:'):
            return self._location.replace('{}', file)
        if '://' in self._location:
            return f'{self._location.rstrip("/")}/{file}'
        return os.path.join(self.data_root or '', self._location, file)

    def _window_on(self, url: str, count: int) -> ShardWindow:
        """The window of the current lane, on the given shard."""
        if self._process != os.getpid():  # a forked process must not share open files
            self._windows, self._process = {}, os.getpid()
        window = self._windows.get(self._lane)
        if window is None or window.url != url:
            if window is not None:
                window.close()
            window = self._windows[self._lane] = ShardWindow(url, count, self.window, self.suffixes)
        return window

    def __getstate__(self) -> dict:
        """Pickle without open files."""
        return {**self.__dict__, '_windows': {}}
