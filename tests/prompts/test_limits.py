"""A template that would take all time or memory is stopped, with the reason."""

from __future__ import annotations

import time

import pytest

from ifcurate.errors import TemplateError
from ifcurate.prompts import limits
from ifcurate.prompts.templates import compile_template, run_template

SIZE, TIME, WIDTH = "over 32,000,000 characters", r"runs for more than", "width of ten million"
DOUBLE = "{% set n = namespace(x='ab') %}{% for i in range(40) %}{% set n.x = CHANGE %}{% endfor %}"
HOSTILE = {
    "{{ 'x' * 600000000 }}": SIZE,
    "{{ 600000000 * 'x' }}": SIZE,
    "{{ (['x'] * 90000000) | length }}": SIZE,
    DOUBLE.replace("CHANGE", "n.x + n.x"): SIZE,
    DOUBLE.replace("CHANGE", "n.x ~ n.x"): SIZE,
    DOUBLE.replace("CHANGE", "[n.x, n.x] | join"): SIZE,
    DOUBLE.replace("CHANGE", "n.x.replace('b', n.x)"): SIZE,
    DOUBLE.replace("CHANGE", "n.x | replace('b', n.x)"): SIZE,
    DOUBLE.replace("CHANGE", "'%s%s' % (n.x, n.x)"): SIZE,
    DOUBLE.replace("CHANGE", "'{0}{0}'.format(n.x)"): SIZE,
    DOUBLE.replace("CHANGE", "n.x.join([n.x, n.x, n.x])"): SIZE,
    "{% set t %}{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}{% endset %}{{ t }}": SIZE,
    "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}": SIZE,
    "{% macro m() %}{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}{% endmacro %}"
    "{{ m() | length }}": SIZE,
    "{{ 'x'.ljust(600000000) }}": SIZE,
    "{{ 'x'.center(600000000) }}": SIZE,
    "{{ 'x' | center(600000000) }}": SIZE,
    "{{ '\t'.expandtabs(600000000) }}": SIZE,
    "{{ ('x\n' * 9999) | indent(999999) }}": SIZE,
    "{{ {'a': 1} | tojson(indent=600000000) }}": SIZE,
    "{{ '{:>600000000}'.format('x') }}": WIDTH,
    "{{ '{:>{w}}'.format('x', w=600000000) }}": SIZE,
    "{{ '%600000000d' % 1 }}": WIDTH,
    "{{ '%*d' % (600000000, 1) }}": SIZE,
    "{{ '%600000000d' | format(1) }}": WIDTH,
    "{{ 'a'.translate({97: 'x' * 9999999}) }}": "no bound",
    "{{ 10 ** 999999999 }}": SIZE,
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}": TIME,
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
    "{{ m(40) }}": TIME,
    "{% for i in range(40) recursive %}{% if i %}{{ loop(range(i)) }}{% endif %}{% endfor %}": TIME,
    "{{ lipsum(n=99999999) }}": "undefined",
    "{{ range(999999999) | list }}": "Range too big",
}


@pytest.mark.parametrize("source", HOSTILE)
def test_a_hostile_template_is_stopped(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SECONDS", 0.05 if HOSTILE[source] == TIME else 10)
    compiled = compile_template(source, "t")
    started = time.thread_time()
    with pytest.raises(TemplateError, match=HOSTILE[source]):
        run_template(compiled, {}, "t")
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 'ab' * 3 }}{{ 2 * 3 }}{{ 1.5 * 2 }}{{ 2 ** 8 }}", "ababab63.0256"),
        ("{{ 'a' ~ 1 ~ none ~ '' }}{{ 'a' + 'b' }}{{ [1] + [2] }}", "a1Noneab[1, 2]"),
        ("{{ '%05d %s' % (7, 'x') }}{{ '{:>4}|{}'.format('x', 1) }}", "00007 x   x|1"),
        (
            "{{ 'a\tb'.expandtabs(4) }}{{ 'x'.ljust(3) }}{{ 'a-b'.replace('-', '+') }}",
            "a   bx  a+b",
        ),
        ("{{ ['a', 1] | join('-') }}{{ ', '.join(['x', 'y']) }}", "a-1x, y"),
        ("{{ {'a': ['é']} | tojson(indent=1) }}", '{\n "a": [\n  "é"\n ]\n}'),
        (
            "{% for x in xs %}{{ loop.index }}/{{ loop.length }}{{ loop.last }}{% endfor %}",
            "1/2False2/2True",
        ),
        (
            "{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}{% for x in no %}!{% endfor %}",
            "k1",
        ),
        ("{% for x in xs if x != 'a' %}{{ x }}{% else %}none{% endfor %}", "b"),
        ("{% set t %}{{ 1 }}{{ 'b' }}{% endset %}{{ t }}{{ 'q' | center(3) }}", "1b q "),
        (
            "{{ xs | map('upper') | list | first }}{{ xs | selectattr('no') | list }}",
            "A[]",
        ),
    ],
)
def test_what_templates_do_every_day_stays_as_it_was(source: str, text: str) -> None:
    values = {"xs": ["a", "b"], "d": {"k": 1}}
    assert run_template(compile_template(source, "t"), values, "t") == text
