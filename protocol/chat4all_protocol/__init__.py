"""The wire protocol of chat4all, without I/O. Read `frames` first.

`codec` turns bytes into frames and back, `connection` says who may send what when, `codes` how
things are refused and connections end. `SPEC.md` is the same for other languages.
"""
