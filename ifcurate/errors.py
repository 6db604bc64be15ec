"""The errors that ifcurate raises on purpose.

::

    IfcurateError                 anything a user can fix; the CLI prints it without a traceback
    +-- DataError                 a file or a row cannot be read or written
    |   +-- RowError              one row; goes to the quarantine file, the run continues
    +-- ModelError                a model or tokenizer cannot be loaded or used
    |   +-- RowTooLargeError      one prompt needs more memory than the machine has
    |   +-- RowTimeoutError       one prompt takes more time than a row may take
    +-- TemplateError             a prompt template does not render
    +-- RunError                  a run folder is missing, unfinished, or of another run
    +-- OptionError               an option is unknown, out of bounds, or has no effect
    +-- RecipeError               a recipe file is not valid

Every message reads *where: what is wrong; what was found; what to do*.
"""

from __future__ import annotations


class IfcurateError(Exception):
    """Base of all errors that a user can fix."""


class DataError(IfcurateError):
    """A file cannot be read, or results cannot be written."""


class RowError(DataError):
    """One row cannot be used; it is quarantined with this reason."""


class ModelError(IfcurateError):
    """A model or tokenizer cannot be found, loaded or used for scoring."""


class RowTooLargeError(ModelError):
    """One prompt needs more memory than the machine has; other prompts are not affected."""


class RowTimeoutError(ModelError):
    """One prompt takes more time than a row may take; other prompts are not affected."""


class TemplateError(IfcurateError):
    """A prompt template is unknown or does not render."""


class RunError(IfcurateError):
    """A run folder is missing, incomplete, or belongs to another run."""


class OptionError(IfcurateError):
    """An option is unknown, out of bounds, or has no effect with the other options."""


class RecipeError(IfcurateError):
    """A recipe is not valid."""
