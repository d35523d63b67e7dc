"""A table of a recipe: frozen, checked, and filled by a profile where a key was left open."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of a recipe. It is frozen, and refuses unknown keys and numbers that are NaN or infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    def filled(self, **chosen: Any) -> Self:
        """A copy in which each key that was left open (None) has its value of `chosen`; the value for an inner table is
        a dictionary that fills that table in the same way."""
        update = {}
        for key, value in chosen.items():
            present = getattr(self, key)
            if isinstance(present, Table):
                update[key] = present.filled(**value)
            elif present is None:
                update[key] = value
        return self.model_copy(update=update)


class Profiled(Table):
    """A table with a `profile`, which chooses the value of every key that was left None."""

    def chosen(self) -> dict[str, Any]:
        """What this profile chooses for each key that may be left open (see `Table.filled`); by default there is
        none."""
        return {}

    def resolved(self) -> Self:
        """With the profile's choice wherever a key was left open."""
        return self.filled(**self.chosen())

    def suited_to(self, model: Any) -> Self:
        """[objective]: adapted to the recipe's [model]. Raises ValueError where the two do not go together."""
        return self
