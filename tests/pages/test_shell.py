"""The shell of a page: data in it never becomes markup."""

from __future__ import annotations

import json

from ifcurate.pages.shell import embed_json


def test_json_inside_a_script_has_no_signs_of_markup() -> None:
    text = embed_json({"a": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!-- & \u2028"}
