"""The conformance kit: what every connector has to pass, and what helps to play its provider."""

import sys

# A fake that only uses the server needs no pytest, which takes half a second to load.
if "pytest" in sys.modules:
    import pytest

    pytest.register_assert_rewrite(
        f"{__name__}.incoming_checks", f"{__name__}.sending_checks", f"{__name__}.webhook_checks"
    )
