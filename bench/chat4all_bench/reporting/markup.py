"""HTML and SVG as trees, so that whatever is told in them is text and never markup.

The standard library's ElementTree writes them, and escapes. What XML cannot hold at all (control
characters, lone surrogates) is replaced.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element, tostring

if TYPE_CHECKING:
    from collections.abc import Iterable

    Child = Element | str | None

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """An element with texts and elements in it; None among them is nothing.

    An attribute's `_` is written `-`, and one at the end is left out (`class_`); one that is None
    is none.
    """
    found = Element(
        tag,
        {
            name.rstrip("_").replace("_", "-"): clean(str(value))
            for name, value in attributes.items()
            if value is not None
        },
    )
    add(found, *children)
    return found


def add(parent: Element, *children: Child) -> None:
    """Put texts and elements at the end of an element."""
    for child in children:
        if isinstance(child, Element):
            parent.append(child)
        elif child is not None:
            _add_text(parent, clean(child))


def elements(tag: str, texts: Iterable[str], **attributes: object) -> list[Element]:
    """An element for each text."""
    return [element(tag, text, **attributes) for text in texts]


def as_xml(tree: Element) -> str:
    """For a file of its own."""
    return tostring(tree, encoding="unicode")


def as_html(tree: Element) -> str:
    """For browsers: with end tags wherever HTML wants them."""
    return tostring(tree, encoding="unicode", method="html")


def clean(text: str) -> str:
    """Text that XML can hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def _add_text(parent: Element, text: str) -> None:
    if len(parent):
        last = parent[-1]
        last.tail = (last.tail or "") + text
    else:
        parent.text = (parent.text or "") + text
