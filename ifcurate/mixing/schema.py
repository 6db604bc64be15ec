"""The columns of a mixture.

A row of a mixture is a conversation in one schema, so that files of different formats
load as one table. The row as it was read is kept beside it, so that nothing is lost.
Columns that ifcurate adds start with `ifcurate_`.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

MESSAGE: Final = pl.Struct(
    {"role": pl.String, "content": pl.String, "name": pl.String, "tool_calls": pl.String}
)

#: name -> (type, meaning); a row per row of the mixture, in training order.
COLUMNS: Final[dict[str, tuple[Any, str]]] = {
    "messages": (
        pl.List(MESSAGE),
        "the conversation; the last message is the response; tool_calls is JSON",
    ),
    "tools": (
        pl.String,
        "the tools that the model could call, as the row's JSON; null if there are none",
    ),
    "ifcurate_component": (pl.String, "the component that the row was taken from"),
    "ifcurate_source": (pl.String, "the file (or dataset) that it was read from"),
    "ifcurate_row": (pl.Int64, "its row number there, counted from 0"),
    "ifcurate_copy": (pl.Int32, "0, or the number of the repetition of an up-sampled row"),
    "ifcurate_label": (pl.String, "its label in the split; null if it was not split"),
    "ifcurate_format": (
        pl.String,
        "the format of the row as it was read, with the columns that were mapped",
    ),
    "ifcurate_hash": (pl.String, "hash of the texts that are trained on"),
    "ifcurate_tokens": (pl.Int32, "tokens, of the tokenizer that the manifest names; null if none"),
    "ifcurate_record": (pl.String, "the row as it was read, as JSON"),
}
MIXTURE: Final = pl.Schema({name: kind for name, (kind, _) in COLUMNS.items()})
#: The text of all messages of a row, with tool calls; a blank line between messages.
TEXT: Final = (
    pl.col("messages")
    .list.eval(
        pl.concat_str(
            pl.element().struct.field("content", "tool_calls"), separator="\n", ignore_nulls=True
        )
    )
    .list.join("\n\n")
)
