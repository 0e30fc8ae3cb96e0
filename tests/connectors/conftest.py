from __future__ import annotations

from tests.fakes.meta.fixtures import meta, meta_process

__all__ = ["meta", "meta_process"]
