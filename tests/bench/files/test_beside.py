"""Uploads that go on until they are told to end."""

from __future__ import annotations

import itertools
import threading

from chat4all_bench.files.beside import Uploaded, Uploads
from chat4all_bench.files.connections import Failed


def test_who_is_done_begins_another_until_told_to_end() -> None:
    many = threading.Semaphore(0)

    def upload() -> str:
        many.release()
        return "id"

    uploads = Uploads(upload, at_once=3)
    uploads.begin()
    for _ in range(10):
        many.acquire()
    uploaded = uploads.end()
    assert uploaded.asked == len(uploaded.ids) >= 10
    assert uploaded.back(lambda id_: id_ == "id") == uploaded.asked


def test_so_many_are_under_way_at_once() -> None:
    together = threading.Barrier(3)
    begun = itertools.count()

    def upload() -> str:
        if next(begun) < 3:
            together.wait()
        return "id"

    uploads = Uploads(upload, at_once=3)
    uploads.begin()
    assert uploads.end().asked >= 3


def test_what_fails_is_counted() -> None:
    def upload() -> str:
        raise Failed("no answer")

    uploads = Uploads(upload, at_once=1)
    uploads.begin()
    uploaded = uploads.end()
    assert uploaded.errors == {"no answer": uploaded.asked}


def test_what_comes_back_otherwise_or_not_at_all_is_counted_too() -> None:
    uploaded = Uploaded(ids=["same", "other", "lost"])

    def same(id_: str) -> bool:
        if id_ == "lost":
            raise Failed("no answer")
        return id_ == "same"

    assert uploaded.back(same) == 1
    assert uploaded.errors == {
        "what was downloaded differs from what was uploaded": 1,
        "no answer": 1,
    }
