"""Pictures in tar shards, for storage that is read best from front to back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from mmengine.fileio import join_path
from mmengine.registry import DATASETS

from .image_regions import ImageRegions
from .sharded.index import read_index
from .sharded.reading import IMAGE_SUFFIXES, ShardWindow


@DATASETS.register_module()
class ShardedImages(ImageRegions):
    """Images of WebDataset's tar shards, without annotation (needs the extra ``wds``).

    Every image has an index, as in any data set; the shards are streamed all the same. Their order
    is the work of `ShardSampler` and `InfiniteShardSampler`, which hand each process and
    each of its lanes its own shards, from front to back, and which a resumed run fast-forwards
    without opening what it skips. Any other sampler works and reads a shard again for every image.

    A sample starts as `img_id` and `img_path` (shard and key), `img_bytes` and `draw`; without
    `boxes_xywh`, so the sampler of regions is `GridRegions`.

    Args:
        source: Index of the shards, written by ``tools/make_shards.py``; relative to `data_root`.
        data_prefix: `img`: folder or URL the shards are in, the index's folder by default. With
            `pipe:` it is a command, in which `{}` stands for the shard's name:
            ``pipe:aws s3 cp s3://bucket/shards/{} -``. A URL or command is taken as it is.
        window: Encoded images each lane remembers; the sampler shuffles among as many.
        suffixes: Members of a sample that are its picture, the first that there is.
        **kwargs: As in `ImageRegions`, `on_bad_image` among them.

    Attributes:
        counts: Images of each shard, int64.
        window: As the argument.
    """

    def __init__(
        self,
        source: str,
        data_prefix: dict | None = None,
        window: int = 256,
        suffixes: Sequence[str] = IMAGE_SUFFIXES,
        **kwargs: object,
    ) -> None:
        if window < 1:
            raise ValueError(f'window is at least 1 image, not {window}')
        for name in ('filter_cfg', 'indices'):
            if kwargs.get(name):
                raise ValueError(f'ShardedImages has no {name}: choose by shards in its index')
        self.window = window
        self.suffixes = tuple(suffixes)
        self._place = (data_prefix or {}).get('img')
        self._windows: dict[int, ShardWindow] = {}
        self._process = os.getpid()
        self._lane = 0
        self.counts = np.zeros(0, np.int64)
        super().__init__(ann_file=source, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the index; the list has the shards, not the images.

        Raises:
            FileNotFoundError: There is no index; says how it is made.
            ValueError: It is broken or lists no image; names the file.
        """
        shards = read_index(self.ann_file, self.backend_args)
        self.counts = np.array([shard.pictures for shard in shards], np.int64)
        self._ends = np.cumsum(self.counts)
        return [dict(file=shard.file) for shard in shards]

    def __len__(self) -> int:
        """Number of images."""
        if not self._fully_initialized:
            self.full_init()
        return int(self._ends[-1])

    def prepare_data(self, idx: int) -> dict:
        """Run the pipeline on one image (see `ImageRegions`), read by the lane of its draw."""
        self._lane = getattr(idx, 'lane', 0)
        return super().prepare_data(idx)

    def get_data_info(self, idx: int) -> dict:
        """Return what a sample knows of its image, and the encoded image.

        Args:
            idx: Index of the image; negative ones count from the end.

        Raises:
            ImportError: `webdataset` is not installed.
            ValueError: The shard is broken or its index is wrong; names it.
        """
        idx = range(len(self))[int(idx)]
        shard = int(np.searchsorted(self._ends, idx, side='right'))
        place = idx - int(self._ends[shard] - self.counts[shard])
        file = super().get_data_info(shard)['file']
        picture = self._window_on(self.locate(file), int(self.counts[shard]))[place]
        name = f'{file}/{picture.key}'
        return dict(
            img_id=name,
            img_path=f'{name}.{picture.suffix}',
            img_bytes=picture.content,
            sample_idx=idx,
        )

    def locate(self, file: str) -> str:
        """Path, URL or command of a shard by its file name."""
        if self._place is None:
            return join_path(str(PurePosixPath(self.ann_file).parent), file)
        if self._place.startswith('pipe:'):
            return self._place.replace('{}', file)
        if '://' in self._place:
            return f'{self._place.rstrip("/")}/{file}'
        return os.path.join(self.data_root or '', self._place, file)

    def _window_on(self, url: str, count: int) -> ShardWindow:
        """The current lane's window, moved to a shard if it is not there."""
        if self._process != os.getpid():  # a fork must not share its parent's open files
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
