"""Uploads that go on until they are told to end."""

from __future__ import annotations

import itertools
import threading

from chat4all_bench.files.beside import Uploads
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
    uploads.end()
    assert uploads.asked == len(uploads.ids) >= 10
    assert uploads.back(lambda id_: id_ == "id") == uploads.asked


def test_so_many_are_under_way_at_once() -> None:
    together = threading.Barrier(3)
    begun = itertools.count()

    def upload() -> str:
        if next(begun) < 3:
            together.wait()
        return "id"

    uploads = Uploads(upload, at_once=3)
    uploads.begin()
    uploads.end()
    assert uploads.asked >= 3


def test_what_fails_is_counted_up_or_down() -> None:
    def upload() -> str:
        raise Failed("no answer")

    uploads = Uploads(upload, at_once=1)
    uploads.begin()
    uploads.end()
    assert uploads.errors == {"no answer": uploads.asked}
    uploads.ids = ["same", "other"]
    assert uploads.back(lambda id_: id_ == "same") == 1
    assert uploads.errors["what was downloaded differs from what was uploaded"] == 1
