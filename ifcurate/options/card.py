"""The options of a mixture's card."""

from __future__ import annotations

from typing import ClassVar

from ifcurate.options.base import Options, option


class CardOptions(Options):
    """The facts of a card that are in no table."""

    step: ClassVar[str] = "card"
    panel: ClassVar[str] = "Card"

    title: str = option("", "Title of the card. By default the names of the components.")
    license: str = option(
        "",
        "Licence of the sources whose card names none, as the Hub spells it. By default the "
        "licence is unknown.",
        metavar="LICENCE",
    )
    language: list[str] = option(
        [], "Languages of the texts as codes (en). By default those of the sources' cards."
    )
    examples: int = option(10, "Examples of each label that the card shows.", ge=0, le=100)
