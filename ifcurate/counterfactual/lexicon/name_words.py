"""Words around and in people's names, for the recogniser."""

from __future__ import annotations

from .wording import word_keys, word_set

__all__ = [
    "DESCRIBING",
    "EITHER_NAMES",
    "ENDINGS",
    "GENERIC_WORDS",
    "HEADS",
    "LEADS",
    "NO_SURNAMES",
    "RATHER_NAMES",
    "SHORT_NAMES",
    "TITLES",
]

#: Titles before a name; the value is the gender they say.
TITLES = word_keys("titles")

#: First names that are family names as well: for a name that may be either.
EITHER_NAMES = word_keys("either_names")

#: Words that are names when another name follows.
RATHER_NAMES = word_set("rather_names")

#: Names that are sure although they are short, or are words or places too; the value is the gender.
SHORT_NAMES = word_keys("short_names")

#: Last words of names, by what they make of the name: "Harvard University", "Hudson River".
ENDINGS = word_keys("endings")
#: Words before "of" that make a name: "University of Leeds", "Battle of Hastings".
HEADS = word_keys("heads")
#: Words before a name: "Lake Superior", "Mount Hood", "Fort Worden".
LEADS = word_keys("leads")

#: Last words of the names of organisations, places and works: no family names.
NO_SURNAMES = frozenset(ENDINGS) | word_set("no_surnames")
#: Words that name nothing by themselves inside longer names.
DESCRIBING = word_set("describing")
#: Words of names that name nothing by themselves.
GENERIC_WORDS = word_set("generic_words")
