"""Every class can be built on shared memory that is there already: ``tensor=``."""

from __future__ import annotations

import mmap
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from support import TIMEOUT, run_processes, run_threads

from caffe2op_atomics import AtomicBool, Counter, Mutex

ops = torch.ops.atomics
I32, I64 = torch.int32, torch.int64


def shared(*values: int, dtype: torch.dtype = I64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype).share_memory_()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_counter_keeps_the_value_and_counts_in_the_tensor(shape, strategy):
    table = shared(1, 2, 3)
    counter = Counter(tensor=table[1].reshape(shape))
    assert counter.next() == 2
    counter += 10
    assert table.tolist() == [1, 13, 3]
    assert counter.tensor.shape == (1,)
    assert Counter(tensor=counter.tensor).value == 13


def test_flag_keeps_its_state():
    table = shared(0, 1, 0, dtype=I32)
    flags = [AtomicBool(tensor=table[i]) for i in range(3)]
    assert [flag.is_set() for flag in flags] == [False, True, False]
    flags[2].set()
    flags[1].clear()
    assert table.tolist() == [0, 0, 1]
    made_by_op = AtomicBool(tensor=ops.create_atomic_bool())
    made_by_op.set()
    assert made_by_op.wait()


@pytest.mark.parametrize("slot", [lambda bank: bank[1], lambda bank: bank[1:2]])
def test_mutex_is_the_slot(slot):
    bank = ops.create_mutex(3)
    mutex = Mutex(tensor=slot(bank))
    with mutex:
        assert [ops.mutex_try_lock(bank, i) for i in range(3)] == [1, 0, 1]
        assert Mutex(tensor=bank[1]).owner() == mutex.owner()
    assert ops.mutex_lock(bank, 1) == 1
    mutex.release()  # the same thread holds it, whoever locked
    assert not mutex.locked()


def test_mutex_on_memory_that_mutex_init_made(strategy):
    memory = torch.zeros(128, dtype=torch.uint8).share_memory_()
    ops.mutex_init_(memory)
    first, second = Mutex(tensor=memory), Mutex("recover", tensor=memory)
    run_threads(1, lambda _: first.acquire())  # and ends without a release
    with second:
        assert first.locked()


def test_counter_in_a_line_of_its_own_wakes_who_waits():
    line = shared(*[0] * 8)
    counter, other = Counter(tensor=line), Counter(tensor=line)
    other.fetch_add(5)
    results = run_threads(2, lambda rank: counter.wait_until(6, TIMEOUT) if rank else other.next())
    assert results[1] is True
    assert line.tolist()[0] >= 6


def test_counter_in_one_element_waits_too():
    counter = Counter(tensor=shared(0, 7, 7)[0])
    results = run_threads(
        2, lambda rank: counter.wait_until(1, TIMEOUT) if rank else counter.next()
    )
    assert results == [0, True]
    assert counter.wait_until(2, timeout=0.05) is False


def use(counter: Counter, flag: AtomicBool, mutex: Mutex) -> None:
    with mutex:
        counter += 1
    flag.set()


def test_given_memory_travels(start_method, strategy):
    table, flags = shared(1, 2, 3), shared(0, 0, dtype=I32)
    memory = torch.zeros(128, dtype=torch.uint8).share_memory_()
    ops.mutex_init_(memory)
    objects = Counter(tensor=table[1]), AtomicBool(tensor=flags[1]), Mutex(tensor=memory)
    process = mp.get_context(start_method).Process(target=use, args=objects)
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert table.tolist() == [1, 3, 3]
    assert flags.tolist() == [0, 1]


def file_of(path: Path, dtype: torch.dtype, *, is_shared: bool = True) -> torch.Tensor:
    path.write_bytes(bytes(4096))
    return torch.from_file(str(path), shared=is_shared, size=1, dtype=dtype)


def count_once(_: int, counter: Counter) -> None:
    counter += 1


def test_file_is_counted_in_but_not_sent(tmp_path, strategy):
    counter = Counter(tensor=file_of(tmp_path / "x", I64))
    run_processes(2, count_once, counter)  # forked, not sent
    assert counter.value == 2
    assert (tmp_path / "x").read_bytes()[0] == 2
    for unsendable in (counter, Mutex(tensor=ops.create_mutex())):
        with pytest.raises(RuntimeError, match="memory must be torch's shared memory to be sent"):
            ForkingPickler.dumps(unsendable)
        assert unsendable.tensor.is_shared()  # and it was not moved


def test_memory_of_another_strategy_is_not_sent(strategy):
    counter = Counter(tensor=shared(1))
    mp.set_sharing_strategy(({"file_descriptor", "file_system"} - {strategy}).pop())
    with pytest.raises(RuntimeError, match=f"sharing strategy must be '{strategy}'"):
        ForkingPickler.dumps(counter)
    again = Counter(tensor=counter.tensor)  # where it was made counts, not where it was wrapped
    with pytest.raises(RuntimeError, match=f"sharing strategy must be '{strategy}'"):
        ForkingPickler.dumps(again)


NOT_SHARED = "tensor must be shared (share_memory_() first), got private memory"


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (partial(Counter, tensor=torch.zeros(1, dtype=I64)), f"Counter: {NOT_SHARED}"),
        (partial(AtomicBool, tensor=torch.zeros(1, dtype=I32)), f"AtomicBool: {NOT_SHARED}"),
        (partial(Mutex, tensor=torch.zeros(128, dtype=torch.uint8)), f"Mutex: {NOT_SHARED}"),
        (
            partial(Counter, tensor=shared(1, dtype=I32)),
            "Counter: tensor must have dtype int64, got int32",
        ),
        (
            partial(AtomicBool, tensor=shared(1)),
            "AtomicBool: tensor must have dtype int32, got int64",
        ),
        (
            partial(Counter, tensor=shared(1, 2)),
            "Counter: tensor must be contiguous with 1 or 8 elements, "
            "got shape [2] with strides [1]",
        ),
        (
            partial(Counter, tensor=shared(*range(16))[::2]),
            "Counter: tensor must be contiguous with 1 or 8 elements, "
            "got shape [8] with strides [2]",
        ),
        (
            partial(Counter, tensor=torch.zeros(1, dtype=I64, device="meta")),
            "Counter: tensor must be on cpu, got meta",
        ),
        (
            partial(Counter, tensor=torch.zeros(1, dtype=I64).to_sparse()),
            "Counter: tensor must be a dense tensor, got layout sparse_coo",
        ),
        (
            partial(Mutex, tensor=torch.zeros(128, dtype=torch.uint8).share_memory_()),
            "Mutex: mutex must be made by create_mutex, got memory that holds no mutex",
        ),
        (
            partial(Mutex, tensor=ops.create_mutex(2)),
            "Mutex: tensor must be contiguous with 128 elements, "
            "got shape [2, 128] with strides [128, 1]",
        ),
    ],
)
def test_memory_is_refused(make, rule):
    with pytest.raises(RuntimeError) as caught:
        make()
    assert str(caught.value).splitlines()[0] == rule


def test_private_mapping_of_a_file_is_refused(tmp_path):
    private = file_of(tmp_path / "x", I64, is_shared=False)
    with pytest.raises(RuntimeError, match="tensor must be shared"):
        Counter(tensor=private)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match=r"^Counter: tensor must be a tensor, got list$"):
        Counter(tensor=[1])
    with pytest.raises(TypeError, match=r"^Counter: initial must not be given with tensor, got 3$"):
        Counter(3, tensor=shared(1))
    with pytest.raises(TypeError, match=r"^Counter: name must not be given with tensor, got both$"):
        Counter(name="x", tensor=shared(1))


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
def test_read_only_mapping_is_refused():
    memory = mmap.mmap(-1, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
    with pytest.raises(RuntimeError, match="Counter: tensor must be"):
        Counter(tensor=torch.frombuffer(memory, dtype=I64)[:1])
