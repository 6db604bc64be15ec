"""The patterns of lines: labels, headings, tags, fences; questions, instructions, speakers.

Patterns with the names of texts in them ("the following passage") are in `words`. Patterns
are bounded on purpose: each is tried on a line or on a window of fixed length, so that
the time stays linear in the length of the text.
"""

from __future__ import annotations

import re

# ------------------------------------------------------------------------- lines and marks
# Vowel signs and accents that are characters of their own: no letters to `re`.
_SIGNS = (
    "\u0300-\u036f\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0955-\u0957\u0962\u0963"
    "\u0981-\u0983\u09bc-\u09cd\u09d7\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u200c\u200d"
)
# The marks at the end of a sentence, with the quotation marks and brackets that they close.
SENTENCE_END = r"(?:[.!?…](?:[\"”’»]+(?!\s+[a-z])|[)\]]*)(?=\s|$)|[。！？؟।][\"”’»」』)]*)"
# A label line: words, perhaps a number or a remark in brackets, a colon.
LABEL_LINE = re.compile(
    r"^[ \t>]{0,8}(?P<deco>\#{1,6}[ \t]*|\*\*|__)?"
    rf"(?P<name>[^\W\d_](?:[^\W\d_]|['’,;&\- {_SIGNS}]){{0,58}}?)"
    r"(?P<number>[ \t]{0,2}[\#(\[]{0,2}\d{1,3}[)\]]?|[ \t][A-H])?(?:[ \t]?\([^()\n]{1,80}\))?"
    r"(?:\*\*|__)?[ \t\u00a0\u202f]?(?::(?:\*\*|__)?(?=[ \t\r\n]|$|[\"“'A-Z]|[^\x00-\x7f])|：)",
    re.M,
)
# A heading line without a colon.
HEADING_LINE = re.compile(
    r"^[ \t]{0,3}(?:\#{1,6}[ \t]*|\*\*|__|\[|={2,20}[ \t]*|-{2,20}[ \t]*)"
    rf"(?P<name>[^\W\d_](?:[^\W\d_]|['’&\- {_SIGNS}]){{0,40}}?)(?P<number>[ \t]?\d{{1,3}})?"
    r"[ \t]*(?:\*\*|__|\]|={2,20}|-{2,20}|\#{1,6})?[ \t]*\r?$",
    re.M,
)
NUMBERED_LINE = re.compile(
    r"^[ \t]{0,4}(?:\[(?P<a>\d{1,3})\]|(?:document|doc|passage|source|context|snippet|"
    r"search result|result|chunk)[ \t]?[\#\[(]?(?P<b>\d{1,3})[\])]?[ \t]?[:.(\[-])",
    re.M | re.I,
)
# ------------------------------------------------------------------ questions, instructions
# Marks of chat templates and Markdown before a line.
PREFIX = re.compile(r"(?:[*_#>\s/]|--|\[/?INST\]|<\|?/?\w{1,12}\|?>){1,12}")
ASKED_ABOUT = re.compile(
    r"\b(?:questions?|quer(?:y|ies)|riddles?|problems?|prompts?|tasks?|options|choices)\b|"
    r"\b(?:topic|subject|theme):?\s*$",
    re.I,
)
EXPLICIT = re.compile(r"\b(?:following|below|given|provided|presented|attached)\b", re.I)
# A text that the instruction asks to write, and that is not in the prompt.
TO_BE_WRITTEN = re.compile(
    r"\b(?:write|create|generate|draft|compose|make|produce|prepare|start|begin|continue)"
    r"(?: me| us)? (?:the|this|that|these|my)\b[^.,?!\n]{0,40}",
    re.I,
)
POINTS_ON_BARE = re.compile(
    r"\b(?:the following|as follows|this|below)\b[^:.?!\n]{0,60}:[ \t]*\r?$|"
    r"\b(?:summari[sz]e|translate|proofread|paraphrase|rewrite|shorten|read|correct|edit) this\b"
    r"[^:\n]{0,60}$|\bbased on (?:the )?(?:context|passage|article|text):?[ \t]*\r?$",
    re.I,
)
CODE_LOOK = re.compile(
    r"^\s*(?:def |class |import |from \w+ import|#include|function |const |let |var |public |"
    r"SELECT |for ?\(|if ?\(|return |print|console\.|<\?php|<html)|[;{}]\s*$|\w\(.*\)",
    re.M,
)
# A place to fill in.
BLANK = re.compile(r"_{3,80}|\bX{4,20}\b|@placeholder|[\[<](?:MASK|blank)[\]>]", re.I)
# Sentences that tell the model how to behave are not a source of facts.
QUESTION_START = re.compile(
    r"(?:who|what|when|where|why|how|which|is|are|was|were|does|do|did|can|could)\b[^.!:;]{5,140}$",
    re.I,
)
DIRECTIVE = re.compile(
    r"\b(?:you (?:are|should|must|will|have to|need to|can)|you're|your|please|make sure|ensure|"
    r"should|must|do not|don't|always|never|i want|i need|i would like|include|avoid|respond|"
    r"reply|remember to)\b",
    re.I,
)
PERSONA = re.compile(
    r"(?:you are|you're|you will|your |act as|as an? (?:ai|assistant)|i am an? ai|"
    r"(?:the|this) (?:task|job|goal|exercise|aim) is)",
    re.I,
)
PLACEHOLDER = re.compile(
    r"\s*(?:\{+[^{}\n]{0,60}\}+|\[(?:insert|your|paste|add|text|article|context)[^\]\n]{0,80}\]|"
    r"<[^<>\n]{0,60}>|(?:https?://|www\.)\S+|[.…_\-* ]{0,80})\s*",
    re.I,
)
SPEAKER = re.compile(
    rf"[\w.'’#\-{_SIGNS}]{{1,24}}(?: [\w.'’\-{_SIGNS}]{{1,24}}){{0,2}}[ \t]?"
    r"(?:\([^()\n]{1,30}\))?[ \t]?[:：]"
)
OPTION = re.compile(r"(?:[-*•+]|\(?[A-Ha-h1-9][.)]|[1-9]:|\([A-Ha-h1-9]\))(?:[ \t]|$)|[.\s]{0,3}$")
# Of the words of a whole field, in lower case and without punctuation.
NO_CONTEXT = re.compile(
    r"(?:there (?:is|s) )?no(?: (?:additional|further|specific|extra|other))* ?(?:inpute?|inputs|"
    r"context|data|text|document|passage|information)(?: (?:data|text|value|field|information))?"
    r"(?: is)?(?: (?:required|needed|necessary|provided|given|available|specified|applicable))?"
    r"(?: (?:here|for this (?:task|instruction|question)))?|"
    r"none|nil|null|nan|na|n a|n / a|not (?:applicable|available|required|needed|provided)|"
    r"(?:input|context)(?: is)? (?:not (?:required|needed|applicable|provided|available)|none|n a)"
)
# A wish, or a task in other words.
WISH = re.compile(
    r"\b(?:i(?:'d| would)? (?:want|like|need)|(?:your|the|this) (?:task|job|goal|exercise|aim) is|"
    r"you (?:must|should|have to)|help me|tell me|let me know|can you|could you|would you|"
    r"the (?:options|choices|categories) are|out of the (?:options|choices|categories))\b",
    re.I,
)
