"""The store of the explorer's scene answers as torch's stores do."""

from __future__ import annotations

import random

from _store_scene import Store


def test_store_of_the_scene_answers_as_those_of_torch(open_store):
    ours, theirs = Store(), open_store()
    choose = random.Random(5).choice
    for _ in range(400):
        key = choose("abc")
        method, *args = choose(
            [
                ("add", choose([-1, 0, 2])),
                ("compare_set", choose(["", "?", "1", "2"]), choose(["", "1", "2"])),
                ("compare_set", "?", "?"),
                ("delete_key",),
            ]
        )
        if method == "add" and ours.values.get(key) == "":
            continue  # TCPStore breaks the connection; none of ours is both a number and empty
        answer = getattr(theirs, method)(key, *args)
        if method != "delete_key":  # a FileStore says True whether it was there or not
            assert getattr(ours, method)(key, *args) == answer
        else:
            ours.delete_key(key)
        assert theirs.check([key]) == (key in ours.values)
