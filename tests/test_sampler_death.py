"""What SharedBatchSampler knows of the batches of a trainer that died, and of one that did not."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from named_files import ended, in_fork
from support import TIMEOUT
from torch import Tensor
from torch.utils.data import DataLoader

from caffe2op_atomics import SharedBatchSampler, _tickets_layout

BATCHES = 40
AHEAD = 4  # 2 workers x prefetch_factor 2


def sampler_of(workers: int, factor: int = 2) -> SharedBatchSampler:
    return SharedBatchSampler(BATCHES, 1, prefetch=workers * factor)


def loader_of(sampler: SharedBatchSampler, workers: int, **options: Any) -> DataLoader:
    return DataLoader(torch.arange(BATCHES), batch_sampler=sampler, num_workers=workers, **options)


def order_of(epoch: int) -> list[int]:
    return list(range(BATCHES)) if epoch < 0 else _orders(epoch)


def _orders(epoch: int) -> list[int]:
    return torch.randperm(BATCHES, generator=torch.Generator().manual_seed(epoch)).tolist()


def indices(batches: list[list[int]]) -> list[int]:
    return [index for (index,) in batches]
