"""Examples: prompts with the lengths of their answers, read from files whose columns are guessed."""

from soonest.data.examples.columns import ROLES, Guess
from soonest.data.examples.examples import Examples, Grouped, group_of
from soonest.data.examples.reading import guess_columns, read_examples, read_prompts

__all__ = ["ROLES", "Examples", "Grouped", "Guess", "group_of", "guess_columns", "read_examples", "read_prompts"]
