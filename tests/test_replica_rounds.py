"""Rounds of simulated hosts, with workers' updates anywhere in between: nothing lost or twice."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from caffe2op_atomics import GuardedTensor
from caffe2op_atomics.distributed._buckets import buckets_of
from caffe2op_atomics.distributed._targets import pieces_of

HOSTS = 3
SIZE = 7

hosts = st.integers(0, HOSTS - 1)
# A host, what it adds, and to which element; None: the next step of a round.
events = st.lists(
    st.none() | st.tuples(hosts, st.integers(-50, 50), st.integers(0, SIZE - 1)), max_size=60
)


class Host:
    """One host's replica, whose rounds the test takes apart."""

    def __init__(self, dtype: torch.dtype, bucket_bytes: int) -> None:
        # Of two tensors, so that buckets end inside of one.
        self.tensors = [GuardedTensor([3], dtype=dtype), GuardedTensor([SIZE - 3], dtype=dtype)]
        self.buckets, self.values = buckets_of(pieces_of(self.tensors), bucket_bytes)

    def add(self, value: float, place: int) -> None:
        tensor, at = (self.tensors[0], place) if place < 3 else (self.tensors[1], place - 3)
        one = torch.zeros_like(tensor.tensor)
        one[at] = value
        tensor.add_(one)

    def take(self) -> list[Tensor]:
        return [bucket.changed().clone() for bucket in self.buckets]

    def apply(self, totals: list[Tensor], ahead: list[Tensor] | None) -> None:
        for k, (bucket, total) in enumerate(zip(self.buckets, totals, strict=True)):
            bucket.rebase(bucket.agreed + total, None if ahead is None else ahead[k])

    @property
    def elements(self) -> Tensor:
        return torch.cat([tensor.tensor for tensor in self.tensors])


class Cluster:
    """Hosts that take and apply one after the other; what is sent may be rounded."""

    def __init__(self, dtype: torch.dtype, bucket_bytes: int, rounded: bool) -> None:
        self.hosts = [Host(dtype, bucket_bytes) for _ in range(HOSTS)]
        self._rounded = rounded
        self._steps = self._round()

    def step(self) -> None:
        if next(self._steps, "done") == "done":
            self._steps = self._round()

    def _round(self):
        taken = []
        for host in self.hosts:
            taken.append(host.take())
            yield
        sent = [[self._sent(part) for part in parts] for parts in taken]
        totals = [sum(parts) for parts in zip(*sent, strict=True)]
        for k, host in enumerate(self.hosts):
            pairs = zip(taken[k], sent[k], strict=True)
            host.apply(totals, [delta - part for delta, part in pairs] if self._rounded else None)
            yield

    def _sent(self, delta: Tensor) -> Tensor:
        return delta.bfloat16().to(delta.dtype) if self._rounded else delta

    def come_to_rest(self) -> None:
        for _ in range(8 * (2 * HOSTS + 1)):
            self.step()


def play(cluster: Cluster, script: list, scale: float) -> Tensor:
    total = torch.zeros(SIZE, dtype=torch.float64)
    for event in script:
        if event is None:
            cluster.step()
            continue
        host, value, place = event
        cluster.hosts[host].add(scale * value, place)
        total[place] += scale * value
    cluster.come_to_rest()
    return total


@pytest.mark.parametrize(
    ("dtype", "rounded"),
    [
        (torch.int8, False),
        (torch.int32, False),
        (torch.int64, False),
        (torch.float32, False),
        (torch.float32, True),
    ],
)
@settings(max_examples=50, deadline=None)
@given(script=events, bucket_bytes=st.sampled_from([1, 16, 40, 1000]))
def test_every_update_counts_once_on_every_host(dtype, rounded, script, bucket_bytes):
    cluster = Cluster(dtype, bucket_bytes, rounded)
    total = play(cluster, script, scale=1)
    for host in cluster.hosts:
        assert torch.equal(host.elements, total.to(torch.int64).to(dtype))
        assert torch.equal(torch.cat(host.values).to(dtype), host.elements)


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@settings(max_examples=50, deadline=None)
@given(script=events)
def test_hosts_at_rest_have_the_same_bits(dtype, rounded, script):
    cluster = Cluster(dtype, 16, rounded)
    total = play(cluster, script, scale=0.0137)
    for host in cluster.hosts:
        assert torch.equal(host.elements, cluster.hosts[0].elements)
        assert torch.equal(torch.cat(host.values), torch.cat(cluster.hosts[0].values))
        error = (host.elements.double() - total).abs().max()
        assert error <= len(script) * 50 * 0.0137 * torch.finfo(dtype).eps
