"""The conformance kit: what every connector has to pass, and what helps to play its provider."""

import pytest

pytest.register_assert_rewrite(
    f"{__name__}.incoming_checks", f"{__name__}.sending_checks", f"{__name__}.webhook_checks"
)
