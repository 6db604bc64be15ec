"""Both variants score the same response ids, found through character offsets."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from ifcurate.data.sources import read_examples
from ifcurate.engines.base import Tokenizer
from ifcurate.engines.hf.tokenizer import HFTokenizer
from ifcurate.errors import TemplateError
from ifcurate.options.score import ScoreSettings
from ifcurate.prompts.pairs import PromptPair, build_pairs
from ifcurate.prompts.templates import compile_template, load_template, run_template
from ifcurate.records import ContextBlock, Example, Turn
from tests.models import TOKENIZER_KINDS, TokenizerKind, make_tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRICT = (  # no system role, strict alternation, trims: what Gemma's and Mistral's do
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "[{{ m.role }}] {{ m.content | trim }}{{ '</s>' if m.role == 'assistant' else '' }}\n"
    "{% endfor %}"
)


@cache
def tokenizer(kind: TokenizerKind, chat_template: str | None = None) -> HFTokenizer:
    made = make_tokenizer(kind)
    made.chat_template = chat_template
    return HFTokenizer(made)


def field_example(instruction: str, context: str, response: str) -> Example:
    end = len(context)
    block = ContextBlock("context", "input", 0, end, 0, end, "field", 1.0)
    return Example(
        id="x",
        instruction=instruction,
        context=context,
        response=response,
        blocks=(block,) if context else (),
    )


def inline_example(before: str, context: str, after: str, response: str) -> Example:
    """A prompt whose context stands between two texts and is cut without a label."""
    start, end = len(before), len(before) + len(context)
    block = ContextBlock("instruction", "prompt", start, end, start, end, "label", 0.9)
    return Example(id="x", instruction=before + context + after, response=response, blocks=(block,))


def pair_of(
    example: Example,
    tok: Tokenizer,
    template: str = "alpaca",
    prompts: ScoreSettings | None = None,
) -> PromptPair:
    made = load_template(template, tok)
    (pair,) = build_pairs([example], made, tok, prompts or ScoreSettings())
    return pair


def response_ids(pair: PromptPair) -> tuple[list[int], list[int]]:
    assert pair.with_context is not None
    assert pair.without_context is not None
    both = (pair.with_context, pair.without_context)
    first, second = (list(p.ids[p.response_start :]) for p in both)
    return first, second


def check(pair: PromptPair) -> None:
    first, second = response_ids(pair)
    assert first == second
    assert first
    assert pair.with_context is not None
    assert pair.without_context is not None
    assert pair.with_context.response_start >= 1
    assert pair.without_context.response_start >= 1


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@pytest.mark.parametrize("template", ["alpaca", "plain", "tulu"])
def test_same_response_ids(kind: TokenizerKind, template: str) -> None:
    example = field_example("Who?", "The clock was repaired by Mina.", "Mina did.")
    pair = pair_of(example, tokenizer(kind), template)
    check(pair)
    assert not pair.response_ids_forced
    tok = tokenizer(kind)
    assert tok.decode(response_ids(pair)[0]).strip().lower() == "mina did."


def test_only_the_context_differs() -> None:
    tok = tokenizer("byte-bpe")
    made = load_template("alpaca", tok)
    example = field_example("Who?", "CONTEXT", "R")
    with_, without = made.render(example), made.render(example.without_context())
    assert with_.prefix.replace("### Input:\nCONTEXT\n\n", "") == without.prefix
    assert with_.suffix == without.suffix == "<|endoftext|>"


def test_the_papers_two_templates() -> None:
    tok = tokenizer("byte-bpe")
    example = field_example("Who?", "CONTEXT", "R")
    made = load_template("alpaca", tok)
    assert "paired with an input" in made.render(example, variant="with").prefix
    assert "paired with an input" not in made.render(example, variant="without").prefix
    check(pair_of(example, tok, prompts=ScoreSettings(ablation="template")))
    with pytest.raises(TemplateError, match="alpaca only"):
        load_template("plain", tok).render(example, variant="with")


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_a_response_that_is_also_in_the_prompt_is_found(kind: TokenizerKind) -> None:
    example = field_example("Say: blue", "blue blue blue", "blue")
    pair = pair_of(example, tokenizer(kind), "plain")
    check(pair)
    assert pair.with_context is not None
    prompt = pair.with_context
    assert prompt.response_start > 5
    assert tokenizer(kind).decode(list(prompt.ids[prompt.response_start :])).strip() == "blue"


def template_file(folder: Path, text: str) -> str:
    path = folder / "mine.jinja"
    path.write_text(text)
    return str(path)


def test_a_template_that_ends_in_a_space_scores_the_first_word(tmp_path: Path) -> None:
    tok = tokenizer("byte-bpe")
    name = template_file(tmp_path, "{{ context }} {{ instruction }} Answer: {{ response }}")
    pair = pair_of(field_example("Who?", "The river Elm.", "the river Elm"), tok, name)
    check(pair)
    assert pair.boundary_straddles
    assert tok.decode(response_ids(pair)[0]) == " the river Elm"


def test_a_word_that_spans_the_boundary_is_flagged(tmp_path: Path) -> None:
    tok = tokenizer("byte-bpe")
    name = template_file(tmp_path, "{{ context }} {{ instruction }} answ{{ response }}")
    pair = pair_of(field_example("The", "Elm.", "er the question"), tok, name)
    check(pair)
    if not pair.boundary_straddles:  # then the vocabulary has no such token: nothing was merged
        assert tok.decode(response_ids(pair)[0]) == "er the question"


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_a_context_that_touches_the_response(kind: TokenizerKind, tmp_path: Path) -> None:
    """What stands before the response differs between the variants: ids are forced, and said."""
    name = template_file(tmp_path, "{{ instruction }}{{ context }}{{ response }}")
    for context in ("the riv", "Answer: ", "x\n", "12"):
        pair = pair_of(field_example("Go on", context, "er Elm 34"), tokenizer(kind), name)
        check(pair)


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_a_prompt_that_is_all_context_still_conditions(kind: TokenizerKind) -> None:
    example = inline_example("", "The ferry leaves at nine.", "", "nine")
    pair = pair_of(example, tokenizer(kind), "plain")
    check(pair)


def test_bos_is_put_once(tmp_path: Path) -> None:
    tok = tokenizer("sentencepiece", STRICT)
    example = field_example("Who?", "Mina did.", "Mina")
    for template in ("alpaca", "chat"):
        pair = pair_of(example, tok, template)
        check(pair)
        assert pair.with_context is not None
        assert list(pair.with_context.ids).count(tok.bos_id or -1) == 1
        assert pair.with_context.ids[0] == tok.bos_id


def test_start_tokens_that_a_template_writes_are_all_kept() -> None:
    tok = tokenizer("sentencepiece", "{{ bos_token }}" + STRICT)
    pair = pair_of(field_example("Who?", "Mina did.", "Mina"), tok, "chat")
    check(pair)
    assert pair.with_context is not None
    assert list(pair.with_context.ids[:3]).count(tok.bos_id or -1) == 2


@pytest.mark.parametrize("marker", ["<|assistant|>", "<ANSWER>"])
def test_a_marker_that_strips_white_space_is_not_scored(marker: str, tmp_path: Path) -> None:
    from tokenizers import AddedToken

    file = tmp_path / "marked.jinja"
    file.write_text("{{ instruction }} {{ context }}" + marker + "{{ response }}")
    example = field_example("Who?", "Mina did.", "  Mina did.")
    answers = []
    for strips in (False, True):
        made = make_tokenizer("sentencepiece")
        made.add_tokens([AddedToken(marker, rstrip=strips, special=True)])
        tok = HFTokenizer(made)
        pair = pair_of(example, tok, str(file))
        check(pair)
        assert not pair.boundary_straddles
        answers.append(tok.decode(response_ids(pair)[0]))
        assert pair.with_context is not None
        last = pair.with_context.ids[pair.with_context.response_start - 1]
        assert tok.decode([last]) == marker
    assert [answer.strip() for answer in answers] == ["Mina did."] * 2


@pytest.mark.parametrize("kind", ["byte-bpe", "sentencepiece"])
def test_end_of_turn_is_scored_when_asked(kind: TokenizerKind) -> None:
    tok = tokenizer(kind)
    example = field_example("Who?", "Mina did.", "Mina")
    bare, _ = response_ids(pair_of(example, tok))
    ended, _ = response_ids(pair_of(example, tok, prompts=ScoreSettings(score_eot=True)))
    assert ended[:-1] == bare
    assert tok.decode(ended[-1:]) == tok.eos_text


def test_chat_template_of_the_tokenizer() -> None:
    tok = tokenizer("byte-bpe", CHATML)
    example = Example(
        id="x",
        instruction="Who?",
        response="Mina",
        system="Read this. Mina did.",
        blocks=(ContextBlock("system", "system", 11, 20, 10, 20, "tag", 0.9),),
    )
    made = load_template("auto", tok)
    assert made.name == "chat"
    rendered = made.render(example)
    assert rendered.prefix.endswith("Who?<|im_end|>\n<|im_start|>assistant\n")
    assert rendered.suffix == "<|im_end|>\n"
    assert "Read this.<|im_end|>" in made.render(example.without_context()).prefix
    check(pair_of(example, tok, "chat"))


def test_a_chat_template_in_a_file_is_that_of_the_tokenizer(tmp_path: Path) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text(CHATML)
    example = field_example("Who?", "Mina did.", "Mina")
    ours = pair_of(example, tokenizer("byte-bpe", CHATML), "chat")
    assert pair_of(example, tokenizer("byte-bpe"), str(file)) == ours


def test_a_strict_chat_template_gets_what_it_can_take() -> None:
    tok = tokenizer("sentencepiece", STRICT)
    made = load_template("chat", tok)
    assert made.folds == {"system", "tool", "repeated"}
    assert made.strips_response
    example = Example(
        id="x",
        instruction="Who?",
        response=" Mina ",
        system="Be brief.",
        trailing=(
            Turn("assistant", "", tool_calls=({"function": {"name": "f"}},)),
            Turn("tool", "Mina did."),
        ),
    )
    rendered = made.render(example)
    assert rendered.response == "Mina"
    assert "[user] Be brief.\n\nWho?\n" in rendered.prefix
    assert '[assistant] {"name": "f"}</s>\n[user] Mina did.\n[assistant] ' in rendered.prefix


def test_tools_reach_a_chat_template_in_the_form_it_expects() -> None:
    shown = "{% for t in tools or [] %}<tool {{ t.function.name }}>{% endfor %}" + CHATML
    made = load_template("chat", tokenizer("byte-bpe", shown))
    for tools in ('[{"name": "f"}]', '[{"type": "function", "function": {"name": "f"}}]'):
        rendered = made.render(Example(id="x", instruction="Who?", response="R", tools=tools))
        assert rendered.prefix.startswith("<tool f><|im_start|>user")
    for broken in ("", "no json", "{}", "[]"):
        rendered = made.render(Example(id="x", instruction="Who?", response="R", tools=broken))
        assert rendered.prefix.startswith("<|im_start|>user")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ instruction }", "correct the template"),
        ("{{ instruction }}", "must write the response exactly once"),
        ("{{ response }}{{ response }}", "found it 2 times"),
        ("{{ turns.at.all }}{{ response }}", "does not render"),
        ("{{ instructoin }}{{ response }}", "does not render: 'instructoin' is undefined"),
        ("{{ 1 / 0 }}{{ response }}", "does not render: division by zero"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}{{ response }}", "does not render"),
        ("{{ ''.__class__.__mro__ }}{{ response }}", "does not render"),
    ],
)
def test_a_template_that_does_not_work_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=said):
        load_template(template_file(tmp_path, text), tokenizer("byte-bpe"))


def test_a_name_that_a_template_provides_for_may_be_unknown(tmp_path: Path) -> None:
    guarded = "{% if persona is defined %}{{ persona }}{% endif %}{{ style | default('') }}"
    made = load_template(
        template_file(tmp_path, guarded + "{{ instruction }} {{ response }}"), tokenizer("byte-bpe")
    )
    assert made.render(Example(id="x", instruction="Who?", response="R")).prefix == "Who? "
    rare = "{% if system %}{{ sytem }}{% endif %}{{ response }}"
    made = load_template(template_file(tmp_path, rare), tokenizer("byte-bpe"))
    with pytest.raises(TemplateError, match="does not render: 'sytem' is undefined"):
        made.render(Example(id="x", system="Be brief.", response="R"))


def test_unknown_templates() -> None:
    with pytest.raises(TemplateError, match="neither built in"):
        load_template("alpacca", tokenizer("byte-bpe"))
    with pytest.raises(TemplateError, match="has no chat template"):
        load_template("chat", tokenizer("byte-bpe"))


def test_the_date_does_not_change_prompts() -> None:
    dated = "{{ strftime_now('%d %b %Y') }}" + CHATML
    rendered = load_template("chat", tokenizer("byte-bpe", dated)).render(_plain())
    assert rendered.prefix.startswith("01 Jan 2025")


def _plain() -> Example:
    return field_example("Who?", "Mina did.", "Mina")


def test_statuses_without_a_prompt() -> None:
    tok = tokenizer("byte-bpe")
    made = load_template("alpaca", tok)
    examples = [field_example("a", "", "r"), field_example("a", "c", "  "), _plain()]
    pairs = build_pairs(examples, made, tok, ScoreSettings())
    assert [pair.status for pair in pairs] == ["no_context", "empty_response", "scored"]
    assert [pair.with_context is None for pair in pairs] == [True, True, False]


def test_too_long_rows_are_reported_and_the_response_is_never_cut() -> None:
    tok = tokenizer("byte-bpe")
    context = " ".join(f"Fact {i} is about the river Elm." for i in range(60))
    example = field_example("Who?", context, "The river Elm, of course.")
    skipped = pair_of(example, tok, prompts=ScoreSettings(max_length=200))
    assert skipped.status == "too_long"
    assert skipped.with_context is None
    assert "the model takes 200" in skipped.reason
    settings = ScoreSettings(max_length=200, too_long="shorten")
    pair = pair_of(example, tok, prompts=settings)
    check(pair)
    assert pair.context_shortened
    assert pair.with_context is not None
    assert 150 < len(pair.with_context.ids) <= 200
    text = tok.decode(list(pair.with_context.ids))
    assert "Fact 0 is" in text
    assert "Fact 59 is" in text
    assert text.endswith("The river Elm, of course.")
    whole = pair_of(example, tok)
    assert response_ids(pair) == response_ids(whole)
    hopeless = pair_of(example, tok, prompts=ScoreSettings(max_length=20, too_long="shorten"))
    assert hopeless.status == "too_long"


def test_the_tokens_of_a_shortened_context_of_several_blocks_are_counted() -> None:
    tok = tokenizer("byte-bpe")
    notes = ["The mill stands by the Elm.", " ".join(f"Boat {i} is blue." for i in range(60))]
    asked = f"First: {notes[0]} Second: {notes[1]} Where is it?"
    places = [asked.index(note) for note in notes]
    blocks = tuple(
        ContextBlock("instruction", "q", at, at + len(note), at, at + len(note), "label", 0.9)
        for at, note in zip(places, notes, strict=True)
    )
    example = Example(id="x", instruction=asked, response="By the Elm.", blocks=blocks)
    pair = pair_of(example, tok, prompts=ScoreSettings(max_length=250, too_long="shorten"))
    check(pair)
    assert pair.context_shortened
    assert pair.with_context is not None
    shown = tok.decode(list(pair.with_context.ids))
    cut = shown[shown.index("Boat 0") : shown.index(" Where is it?")]
    assert "[...]" in cut
    assert pair.n_context_tokens == len(tok.encode(f"{notes[0]}\n\n{cut}").ids)


def test_shuffle_gives_another_rows_context_of_similar_length() -> None:
    tok = tokenizer("byte-bpe")
    texts = ["Short one.", "A tiny bit.", "A much longer context " * 5, "Another long context " * 5]
    examples = [field_example("Q?", text, "R") for text in texts]
    made = load_template("alpaca", tok)
    pairs = build_pairs(examples, made, tok, ScoreSettings(ablation="shuffle"))
    for pair in pairs:
        check(pair)
    assert pairs[0].without_context is not None
    assert "A tiny bit." in tok.decode(list(pairs[0].without_context.ids))
    assert pairs[2].without_context is not None
    assert "Another long" in tok.decode(list(pairs[2].without_context.ids))
    (alone,) = build_pairs(examples[:1], made, tok, ScoreSettings(ablation="shuffle"))
    assert alone.status == "error"


texts = st.text(
    alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\n.:ai12é東🙂▁Ġ"),
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=75, deadline=None)
@given(texts, texts, texts, texts, st.sampled_from(TOKENIZER_KINDS))
def test_any_text_gives_equal_ids_or_a_reason(
    before: str, context: str, after: str, response: str, kind: TokenizerKind
) -> None:
    tok = tokenizer(kind)
    example = inline_example(before, context, after, response)
    for template in ("alpaca", "plain", "tulu"):
        pair = pair_of(example, tok, template)
        if pair.status == "scored":
            check(pair)
        else:
            assert pair.status == "empty_response"


FILES = (
    "alpaca_5pct.json",
    "p3_inline_context.jsonl",
    "toolcall_sharegpt.json",
    "sharegpt_dummy.json",
    "conflict_suites/world_facts.json",
    "conflict_suites/famous_biographies.jsonl",
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@pytest.mark.parametrize("name", FILES)
def test_real_data_has_equal_ids_throughout(
    name: str, kind: TokenizerKind, shared_data: Path
) -> None:
    """Every row, with one of the tokenizers."""
    tok = tokenizer(kind)
    first, step = TOKENIZER_KINDS.index(kind), len(TOKENIZER_KINDS)
    examples: list[Any] = list(read_examples(shared_data / name))[first::step]
    for template in ("alpaca", "plain"):
        made = load_template(template, tok)
        pairs = build_pairs(examples, made, tok, ScoreSettings())
        assert len(pairs) == len(examples)
        scored = [pair for pair in pairs if pair.status == "scored"]
        for pair in scored:
            check(pair)
        # Alpaca's prompts end in a line of their own; a plain prompt may end in its context.
        forced = sum(pair.response_ids_forced for pair in scored)
        assert forced <= (0 if template == "alpaca" else len(scored) // 100)
        assert {pair.status for pair in pairs} <= {"scored", "no_context", "empty_response"}


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_a_context_cut_before_it_is_encoded_gives_the_same_prompts(
    kind: TokenizerKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "the mill stands by a river, and Zoë's 31 boats — 東京".split()  # noqa: SIM905
    words += ["\n\n", "a\tb", "..."]
    random_ = random.Random(0)
    examples = []
    for i in range(3):
        text = " ".join(random_.choices(words, k=random_.randint(4_000, 9_000)))
        given = Turn("user", f"Passage: {text[: 5000 * (i % 3)]}", "m[0].content")
        blocks: tuple[ContextBlock, ...] = (
            ContextBlock("instruction", "q", 9, 9 + len(text), 0, 9 + len(text) + 2, "label", 1.0),
        )
        if i % 3:
            end = len(given.content)
            blocks = (ContextBlock("history[0]", "m[0]", 9, end, 0, end, "label", 1.0), *blocks)
        asked = f"Passage: {text}\n\nWhere is it?"
        examples.append(
            Example(
                id=str(i), instruction=asked, response="By it.", history=(given,), blocks=blocks
            )
        )
    tok = tokenizer(kind)
    made = load_template("alpaca", tok)
    settings = ScoreSettings(too_long="shorten", max_length=500)
    monkeypatch.setattr("ifcurate.prompts.lengths._LONGEST_TOKEN", 8)
    cut = build_pairs(examples, made, tok, settings)
    monkeypatch.setattr("ifcurate.prompts.pairs.cut_longest_block", lambda example, _: example)
    whole = build_pairs(examples, made, tok, settings)
    assert [pair.status for pair in cut] == [pair.status for pair in whole]
    assert {pair.status for pair in cut} == {"scored", "too_long"}
    for pair, other in zip(cut, whole, strict=True):
        assert pair == other or pair.status == "too_long"


@pytest.mark.parametrize(
    "source",
    [
        "{% for m in messages %}\n{{ m.role }}:\n{{ m.content }}\n\n{% endfor %}\n",
        "  {% if messages %}\n\n  text\n  {% endif %}  \n{{ messages[0].content }}\n\n",
        "{%- for m in messages -%}\n  {{ m.content }}\n{%- endfor %}\n\n\n",
        "{# a remark #}\n{{ messages[0].content }} \n{% set x = 1 %}\n{{ x }}\r\n",
    ],
)
def test_a_file_keeps_the_newlines_that_transformers_keeps(tmp_path: Path, source: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    path = tmp_path / "chat.jinja"
    path.write_text(source, newline="")
    messages = [{"role": "user", "content": "Who?"}, {"role": "user", "content": "Mina."}]
    (expected,), _ = render_jinja_template(
        conversations=[messages], chat_template=path.read_text("utf-8")
    )
    compiled = compile_template(path.read_text("utf-8"), "chat.jinja")
    assert run_template(compiled, {"messages": messages}, "chat.jinja") == expected
