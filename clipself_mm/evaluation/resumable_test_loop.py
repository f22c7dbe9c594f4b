"""A test that takes hours and writes a file: a stopped one goes on."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import pickle
from contextlib import ExitStack
from typing import Any

from mmdet.evaluation import DumpProposals
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.dist import barrier, broadcast_object_list, get_dist_info
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import LOOPS
from mmengine.runner import TestLoop
from mmengine.structures import InstanceData

from clipself_mm.datasets.sharded.order import share
from clipself_mm.io.journal import SETTINGS_NAME, Journal, weights_digest
from clipself_mm.io.safe_pickle import ARRAYS, SCALARS, SafeUnpickler

from .metrics import ProposalJsonWriter, RegionTextJsonWriter

WRITERS = (ProposalJsonWriter, RegionTextJsonWriter)
_NAMES = {**ARRAYS, **SCALARS, f'{InstanceData.__module__}.InstanceData': InstanceData}


@LOOPS.register_module()
class ResumableTestLoop(TestLoop):
    """A test with a `ProposalJsonWriter` or `RegionTextJsonWriter` that can be stopped at any time.

    The results of every batch are kept in the folder `OUT_FILE.parts` until the file is complete.
    The same command, with any number of processes, reads and computes what is missing. Batches
    depend on `batch_size` only, and so does the file, not on kills or processes. A folder begun
    with other weights, another config or another list of images is an error.

    Metrics of other kinds (but mmdet's `DumpProposals`), and samplers other than `DefaultSampler`
    without shuffling, get a plain test, which the log says. It is no validation loop: weights
    change between validations.

    Args:
        runner, dataloader, evaluator, fp16: As in mmengine's `TestLoop`.

    Raises:
        ValueError: The folder was begun with other options, is damaged, or another process writes
            to it; or the folder cannot be written.
    """

    dataloader: Any  # torch's types know neither size nor sampler

    def run(self) -> dict:
        """Launch the test."""
        obstacle = self._obstacle()
        if obstacle is not None:
            print_log(f'a stopped test will not go on: {obstacle}', logger='current')
            return super().run()
        self.runner.call_hook('before_test')
        self.runner.call_hook('before_test_epoch')
        self.runner.model.eval()
        dataset, size = self.dataloader.dataset, self.dataloader.batch_size
        (file, *_) = (metric.out_file for metric in self._metrics if isinstance(metric, WRITERS))
        journal = Journal(f'{file}.parts', 'test_evaluator.out_file')
        rank, world = get_dist_info()
        with ExitStack() as stack:
            missing = self._missing(journal, stack)
            first, end = share(len(missing), rank, world)
            own = missing[first:end]
            ranges = [range(n * size, min((n + 1) * size, len(dataset))) for n in own]
            self.dataloader = copy.copy(self.dataloader)
            vars(self.dataloader).update(batch_sampler=ranges)  # DataLoader forbids to set it
            with journal.part(rank) as part:
                for index, batch in enumerate(self.dataloader):
                    self.run_iter(index, batch)
                    part.add([dict(batch=own[index], results=self._take_results())])
            barrier()
            if rank == 0:
                self._restore(journal)
            metrics = self.evaluator.evaluate(len(dataset))
            if rank == 0:
                journal.remove()
        self.runner.call_hook('after_test_epoch', metrics=metrics)
        self.runner.call_hook('after_test')
        return metrics

    @property
    def _metrics(self) -> list[Any]:
        return self.evaluator.metrics

    def _obstacle(self) -> str | None:
        """Why the results cannot be kept."""
        for metric in self._metrics:
            if not isinstance(metric, (*WRITERS, DumpProposals)):
                return f'results of {type(metric).__name__} are not kept'
        if not any(isinstance(metric, WRITERS) for metric in self._metrics):
            return 'no ProposalJsonWriter or RegionTextJsonWriter'
        loader = self.dataloader
        if loader.batch_size is None or loader.drop_last:
            return 'it has a batch sampler, or drop_last'
        if type(loader.sampler) is not DefaultSampler or loader.sampler.shuffle:
            return f'{type(loader.sampler).__name__} is not DefaultSampler(shuffle=False)'
        return None

    def _missing(self, journal: Journal, stack: ExitStack) -> list[int]:
        """The batches that are not in the journal; locks it in the main process."""
        box: list[Any] = [None, None]
        if get_dist_info()[0] == 0:
            try:
                stack.enter_context(journal.lock())
                journal.repair()
                done = {line['batch'] for line in journal.lines()}
                if not done:
                    (journal.folder / SETTINGS_NAME).unlink(missing_ok=True)
                journal.claim(self._settings())
                count = self._batch_count()
                if done:
                    text = f'{journal.folder}: {len(done):,} of {count:,} batches are done'
                    print_log(text, logger='current')
                box[1] = [number for number in range(count) if number not in done]
            except (OSError, ValueError) as error:
                box[0] = str(error)
        broadcast_object_list(box)
        if box[0] is not None:
            raise ValueError(box[0])
        return box[1]

    def _batch_count(self) -> int:
        return -(-len(self.dataloader.dataset) // self.dataloader.batch_size)

    def _settings(self) -> dict[str, Any]:
        """All that the results depend on."""
        config, dataset = self.runner.cfg, self.dataloader.dataset
        model = (
            self.runner.model.module if is_model_wrapper(self.runner.model) else self.runner.model
        )
        images: dict[str, Any] = dict(count=len(dataset))
        if isinstance(dataset, BaseDataset):
            content = (
                dataset.data_bytes if dataset.serialize_data else pickle.dumps(dataset.data_list)
            )
            images['sha256'] = hashlib.sha256(content).hexdigest()[:16]
        settings = dict(
            weights=weights_digest(model.state_dict()),
            images=images,
            batch_size=self.dataloader.batch_size,
            dataset=(config.get('test_dataloader') or {}).get('dataset'),
            **{key: config.get(key) for key in ('model', 'test_evaluator', 'test_cfg')},
        )
        return json.loads(json.dumps(settings, default=repr))

    def _take_results(self) -> str:
        """The results that the metrics have, which are removed from them."""
        content = pickle.dumps([metric.results for metric in self._metrics])
        for metric in self._metrics:
            metric.results.clear()
        return base64.b64encode(content).decode()

    def _restore(self, journal: Journal) -> None:
        """Give the metrics all results, in the order of the images."""
        kept = {line['batch']: line['results'] for line in journal.lines()}
        if len(kept) != self._batch_count():
            raise ValueError(
                f'{journal.folder} has {len(kept)} of {self._batch_count()} batches: it is not the '
                'same folder for all processes'
            )
        for _, text in sorted(kept.items()):
            results = SafeUnpickler(io.BytesIO(base64.b64decode(text)), _NAMES).load()
            for metric, new in zip(self._metrics, results, strict=True):
                metric.results.extend(new)
