from __future__ import annotations

from chat4all_actors.edge.http.origins import normalize_origin


def test_a_normal_origin_is_its_own_normal_form() -> None:
    assert normalize_origin("HTTPS://A.example:443") == "https://a.example"
    assert normalize_origin("https://a.example") == "https://a.example"
    assert normalize_origin("http://a.example:443") == "http://a.example:443"
    assert normalize_origin("https://a.example\n") is None
    assert normalize_origin("https://\u212a.example") is None
