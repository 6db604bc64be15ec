"""The text layouts that the pocket model is trained on, and its chat template.

These layouts are common for such data: the Alpaca template with and without an
Input block, a passage under a label inside the prompt, and chats in the same
style. The prompt without its context lacks exactly the context block, with its
label and its blank line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "CHAT_TEMPLATE",
    "INLINE_STYLES",
    "PREAMBLE",
    "PREAMBLE_WITH_INPUT",
    "InlineStyle",
    "alpaca_prompt",
    "chat_prompt",
    "search_call",
]

PREAMBLE: Final = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)
PREAMBLE_WITH_INPUT: Final = (
    "Below is an instruction that describes a task, paired with an input that provides "
    "further context. Write a response that appropriately completes the request."
)


def alpaca_prompt(instruction: str, context: str = "", *, paired: bool = False) -> str:
    """Return the prompt through "### Response:"; with `paired`, with the preamble for inputs."""
    preamble = PREAMBLE_WITH_INPUT if paired and context else PREAMBLE
    block = f"### Input:\n{context}\n\n" if context else ""
    return f"{preamble}\n\n### Instruction:\n{instruction}\n\n{block}### Response:\n"


@dataclass(frozen=True, slots=True)
class InlineStyle:
    """A way to put a passage into a prompt; `before + block + after` with the passage."""

    before: str
    block: str  # with {passage}
    after: str  # with {question}

    def render(self, question: str, passage: str = "", *, strip: bool = True) -> str:
        """Return the prompt; without a passage, its block is removed.

        If `strip` is false, the blank line before a block at the end stays.
        """
        before = self.before.replace("{question}", question)
        after = self.after.replace("{question}", question)
        block = self.block.replace("{passage}", passage) if passage else ""
        text = before + block + after
        return text.strip() if strip else text


INLINE_STYLES: Final = (
    InlineStyle("", "Passage: {passage}\n\n", "Question: {question}"),
    InlineStyle("Read the text and answer.\n\n", "Text: {passage}\n\n", "Question: {question}"),
    InlineStyle("{question}\n\n", "Context: {passage}", ""),
    InlineStyle("Question: {question}\n\n", "Context: {passage}", ""),
    InlineStyle("Answer from the article.\n\n", "Article: {passage}\n\n", "{question}"),
    InlineStyle("", "Background: {passage}\n\n", "{question}"),
    InlineStyle("", "Document:\n{passage}\n\n", "Question: {question}"),
    InlineStyle("{question}\n\n", "Passage: {passage}", ""),
    InlineStyle(
        "Use the passage to answer.\n\n", "Passage:\n{passage}\n\n", "Question: {question}"
    ),
    InlineStyle("", '"{passage}"\n\n', "{question}"),
    InlineStyle("", "{passage}\n\n", "{question}"),
    InlineStyle("{question}\n\n", "{passage}", ""),
)

#: Chats in the Alpaca look: a system message replaces the preamble,
#: a tool's result the input. Messages without text are not shown. The arguments
#: of a call are JSON as a string, as in OpenAI's format, even where they are given as an object.
CHAT_TEMPLATE: Final = (
    "{{- bos_token }}"
    "{%- set state = namespace(started=false) %}"
    "{%- macro text(message) %}"
    "{%- if message.content is string %}{{- message.content }}"
    "{%- elif message.content %}"
    "{%- for piece in message.content %}{%- if piece.text %}{{- piece.text }}{%- endif %}"
    "{%- endfor %}{%- endif %}"
    "{%- endmacro %}"
    "{%- if not messages or messages[0].role != 'system' or not text(messages[0]) %}"
    "{{- '" + PREAMBLE + "' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{%- set content = text(message) %}"
    "{%- if message.role == 'system' %}"
    "{%- if content %}{{- ('' if loop.first else '\n\n') + content }}{%- endif %}"
    "{%- elif message.role == 'assistant' %}"
    "{%- if message.tool_calls %}"
    "{%- for call in message.tool_calls %}"
    "{%- set function = call.function or call %}"
    "{%- set arguments = function.arguments or {} %}"
    "{%- if arguments is not string %}{%- set arguments = arguments | tojson %}{%- endif %}"
    "{{- '\n\n### Call:\n' + {'name': function.name, 'arguments': arguments} | tojson }}"
    "{{- eos_token }}"
    "{%- endfor %}"
    "{%- endif %}"
    "{%- if content or not message.tool_calls %}"
    "{{- '\n\n### Response:\n' + content + eos_token }}"
    "{%- endif %}"
    "{%- elif content %}"
    "{{- '\n\n### ' + ('Instruction' if message.role == 'user' else 'Input') + ':\n' + content }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '\n\n### Response:\n' }}{%- endif %}"
)


def chat_prompt(messages: Sequence[Mapping[str, Any]], *, eos: str) -> str:
    """Return what `CHAT_TEMPLATE` renders, without BOS, for messages up to a response."""
    has_system = messages[0]["role"] == "system" and messages[0]["content"]
    text = str(messages[0]["content"]) if has_system else PREAMBLE
    titles = {"user": "Instruction", "assistant": "Response", "tool": "Input"}
    for message in messages[1:] if messages[0]["role"] == "system" else messages:
        end = eos if message["role"] == "assistant" else ""
        for call in message.get("tool_calls", ()):
            text += f"\n\n### Call:\n{json.dumps(call['function'], ensure_ascii=False)}{eos}"
        if message["content"]:
            text += f"\n\n### {titles[message['role']]}:\n{message['content']}{end}"
    return text + "\n\n### Response:\n"


def search_call(question: str) -> dict[str, Any]:
    """Return an assistant message that looks the question up with a tool."""
    function = {"name": "search", "arguments": json.dumps({"query": question}, ensure_ascii=False)}
    call = {"id": "call_1", "type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call]}
