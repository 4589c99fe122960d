"""Counter and AtomicBool in a store: the methods of the local ones, and what a name means."""

from __future__ import annotations

import copy
import math
import pickle
import re
from multiprocessing.reduction import ForkingPickler

import numpy
import pytest
import torch
import torch.distributed as dist

from caffe2op_atomics import distributed
from caffe2op_atomics.distributed import AtomicBool, Counter, SharedBatchSampler


def test_counter_counts(open_store):
    counter, same = Counter("c", 10, store=open_store()), Counter("c", 99, store=open_store())
    assert counter.next() == 10
    assert same.fetch_add(5) == 11
    assert counter.fetch_sub(1) == 16
    one = counter
    counter += 4
    counter -= 10
    assert one is counter
    assert counter.value == same.value == 9
    assert repr(same) == str(same) == "Counter(name='c', value=9)"
    assert Counter("other", store=open_store()).value == 0


def test_counter_waits(open_store):
    counter = Counter("c", 5, store=open_store())
    assert counter.wait_until(5) is True
    assert counter.wait_until(-(2**63), timeout=0) is True
    assert counter.wait_until(n=6, timeout=0.05) is False


def test_flag_is_set_and_cleared(open_store):
    flag, same = AtomicBool("f", store=open_store()), AtomicBool("f", store=open_store())
    assert not flag.is_set()
    flag.set()
    flag.set()
    assert same
    assert same.wait() is True
    same.clear()
    same.clear()
    assert flag.wait(-1) is flag.wait(0.05) is False
    assert repr(flag) == "AtomicBool(name='f', is_set=False)"


@pytest.mark.parametrize(
    "make", [bool, numpy.bool_, torch.tensor, lambda true: torch.tensor([true])]
)
def test_set_if_is_one_way(make):
    flag = AtomicBool("f", store=dist.HashStore())
    flag.set_if(make(False))
    assert not flag
    flag.set_if(make(True))
    flag.set_if(make(False))
    assert flag


@pytest.mark.parametrize(
    ("condition", "error", "rule"),
    [
        (1, TypeError, "condition must be a bool or a bool tensor, got int"),
        (torch.tensor(1), RuntimeError, "condition must have dtype bool, got int64"),
    ],
)
def test_set_if_refuses_what_the_local_flag_refuses(condition, error, rule):
    flag = AtomicBool("f", store=dist.HashStore())
    with pytest.raises(error, match=f"^set_if: {rule}"):
        flag.set_if(condition)
    assert not flag


def test_default_store_is_that_of_the_process_group(tmp_path):
    text = (
        "Counter: store must be given, or torch.distributed be initialised, got neither "
        "(init_process_group)"
    )
    with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
        Counter("c")
    dist.init_process_group("gloo", rank=0, world_size=1, init_method=f"file://{tmp_path / 's'}")
    try:
        counter = Counter("c", 3)
        counter += 1
        assert Counter("c").value == 4
    finally:
        dist.destroy_process_group()


MAKERS = {
    "Counter": lambda store: Counter("x", store=store),
    "AtomicBool": lambda store: AtomicBool("x", store=store),
    "SharedBatchSampler": lambda store: SharedBatchSampler(10, 4, name="x", store=store),
}


@pytest.mark.parametrize("wanted", MAKERS)
@pytest.mark.parametrize("there", MAKERS)
def test_name_of_another_kind_is_refused_and_left_alone(there, wanted):
    store = dist.HashStore()
    kept = MAKERS[there](store)
    keys = sorted(store.list_keys())
    if there == wanted:
        MAKERS[wanted](store)
    else:
        text = f"{wanted}: name 'x' must have kind {wanted}, got kind {there}"
        with pytest.raises(RuntimeError, match=f"^{text}$"):
            MAKERS[wanted](store)
    assert sorted(store.list_keys()) == keys
    assert kept.unlink()


def test_keys_of_others_under_a_name_are_refused():
    store = dist.HashStore()
    store.set("atomics/x/object", "theirs")
    with pytest.raises(RuntimeError, match="name 'x' must have kind Counter, got kind None"):
        Counter("x", store=store)
    counter = Counter("y", store=store)
    store.set(counter._key, "many")
    with pytest.raises(RuntimeError, match=r"^Counter: name 'y' must hold a number, got 'many'$"):
        Counter("y", store=store)


def test_unlinked_object_goes_on_and_its_name_means_a_new_one(open_store):
    counter, flag = Counter("c", 7, store=open_store()), AtomicBool("f", store=open_store())
    flag.set()
    assert counter.unlink()
    assert flag.unlink()
    anew = Counter("c", store=open_store()), AtomicBool("f", store=open_store())
    assert counter.next() == 7
    assert flag.is_set()
    assert (anew[0].value, anew[1].is_set()) == (0, False)
    assert counter.unlink() is flag.unlink() is False
    assert counter.name == "c"
    assert Counter("c", store=open_store()).fetch_add(1) == 0
    assert anew[0].value == 1


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps, ForkingPickler.dumps])
@pytest.mark.parametrize("kind", MAKERS)
def test_copy_and_pickle_raise_and_say_what_to_do(kind, way):
    text = f"^cannot pickle or copy {kind}: each process makes its own, by the name 'x' and its own"
    with pytest.raises(TypeError, match=text):
        way(MAKERS[kind](dist.HashStore()))


def test_objects_are_compared_by_identity():
    store = dist.HashStore()
    counter, flag = Counter("c", store=store), AtomicBool("f", store=store)
    assert counter == counter
    assert counter != Counter("c", store=store)
    with pytest.raises(TypeError, match="is compared by identity, not with a number"):
        counter == 0  # noqa: B015
    with pytest.raises(TypeError, match=r"compare counter\.value$"):
        bool(counter)
    with pytest.raises(AttributeError, match=re.escape("use counter += n, counter.fetch_add(n)")):
        counter.value = 3
    assert len({counter, flag}) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ("a/b",),
            ValueError,
            "name must have 1 to 200 characters of A-Z a-z 0-9 . _ -, got 'a/b'",
        ),
        ((7,), TypeError, "name must be a string, got int"),
        (("x", 0, "s"), TypeError, "store must be a store of torch.distributed, got str"),
        (("x", 0, None, "1"), TypeError, "timeout must be a number of seconds, got '1'"),
        (("x", 0, None, None), TypeError, "timeout must be a number of seconds, got None"),
        *(
            (
                ("x", 0, None, bad),
                ValueError,
                f"timeout must be above 0 and at most 86400 seconds, got {bad}",
            )
            for bad in (0, -1, math.inf, math.nan)
        ),
        (("x", 2**62 + 1), OverflowError, f"initial must be from -2**62 to 2**62, got {2**62 + 1}"),
        (("x", 1.5), TypeError, None),
    ],
)
def test_bad_argument_is_refused(arguments, error, message):
    name, initial, store, timeout = (*arguments, *(0, dist.HashStore(), 30)[len(arguments) - 1 :])
    rule = message and f"^Counter: {re.escape(message)}$"
    with pytest.raises(error, match=rule):
        Counter(name, initial, store=store, timeout=timeout)


def test_bad_timeout_of_a_wait_is_refused_as_that_of_the_local_classes():
    store = dist.HashStore()
    counter, flag = Counter("c", store=store), AtomicBool("f", store=store)
    rule = "wait_until: timeout must be non-negative, or None or -1 for ever, got -2"
    with pytest.raises(ValueError, match=f"^{rule}$"):
        counter.wait_until(1, -2)
    for method, wait in (("wait", flag.wait), ("wait_until", lambda t: counter.wait_until(1, t))):
        with pytest.raises(ValueError, match=f"^{method}: timeout must be a number of seconds or"):
            wait(math.nan)
        with pytest.raises(TypeError, match=f"^{method}: timeout must be a number of seconds or"):
            wait("1")
    with pytest.raises(OverflowError, match=r"must fit in int64, got 9223372036854775808$"):
        counter.wait_until(2**63)


def test_store_alone_would_wrap():
    """Why the counter has an end of its own. Should torch refuse it one day, that can go."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    store.add("x", 2**63 - 1)
    assert store.add("x", 1) == -(2**63)


@pytest.mark.parametrize("sign", [1, -1])
def test_counter_does_not_pass_its_end(open_store, sign):
    counter = Counter("c", sign * (2**62 - 1), store=open_store())
    assert counter.fetch_add(sign) == sign * (2**62 - 1)
    for n in (1, 2**40):
        text = (
            f"^Counter: the value must stay from -2**62 to 2**62, got {sign * (2**62 + n)}; "
            "nothing was added$"
        ).replace("*", r"\*")
        with pytest.raises(OverflowError, match=text):
            counter.fetch_add(sign * n)
    assert counter.value == sign * 2**62
    assert counter.fetch_sub(sign * 2**40) == sign * 2**62


def test_step_of_a_counter_is_an_integer_of_limited_size():
    counter = Counter("c", store=dist.HashStore())
    for call in (counter.fetch_add, counter.fetch_sub, counter.__iadd__, counter.__isub__):
        for wrong in (2**40 + 1, -(2**40) - 1):
            rule = rf"^Counter: a step must be from -2\*\*40 to 2\*\*40, got {wrong}$"
            with pytest.raises(OverflowError, match=rule):
                call(wrong)
        for wrong in (1.5, "1", None):
            with pytest.raises(TypeError):
                call(wrong)
    assert counter.value == 0


def test_public_names_are_documented():
    for name in distributed.__all__:
        assert getattr(distributed, name).__doc__
