"""The load harness: puts a server under load, and tells what that costs and whether all came.

`python -m chat4all_bench SCENARIO`, or `chat4all bench SCENARIO`. Read `scenarios/chat.py` first;
`bench/README.md` tells the scenarios; `METHOD.md` and `RESULTS.md` beside it how they measure and
what they found.
"""
