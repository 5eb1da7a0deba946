"""The declarative mapping of a source's files onto the canonical tables: its YAML form, validated.

Example::

    name: my_shop
    tables:
      customers:
        files: customers*.csv
        columns:
          subject_id: customer_no                      # a source column as it is
          height_cm: {from: height_in, scale: 2.54}    # inches to centimetres
          country: {constant: DE}
          updated_at: {from: changed, format: "%d.%m.%Y %H:%M", timezone: Europe/Berlin}

A canonical column that is not mapped stays null. `docs` of every key: the fields of `ColumnMapping` and `TableMapping`.
"""

from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from orchestration.sources.batch import MappingError
from orchestration.sources.model import TABLES

__all__ = [
    "ColumnMapping",
    "Condition",
    "CsvFormat",
    "SourceMapping",
    "TableMapping",
    "load_mapping",
    "shipped_mappings",
]

ROW = "#row"
"""Name that stands for a row's number in a template: an id for sources without one, free of personal data."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ColumnMapping(_Strict):
    """How one canonical column is made from a row of the source."""

    from_: str | None = Field(None, alias="from", description="Name of the source column")
    template: str | None = Field(
        None, description="Text with {source column} and {#row} (the row's number in its file)"
    )
    constant: str | int | float | None = Field(None, description="The same value in every row")
    scale: float | None = Field(None, description="Factor for a number, e.g. 2.54 or -1")
    integer: bool = Field(False, description="A number written as 13085.0 becomes the text 13085")
    null_if: tuple[str, ...] = Field((), description="Values that mean unknown")
    values: dict[str, str] = Field(
        default_factory=dict, description="Source value to canonical value; others are unparsable"
    )
    case: Literal["lower", "upper"] | None = Field(None, description="Change of letter case")
    split: str | None = Field(None, description="Separator of a list written as text")
    format: str | None = Field(None, description="strptime format of a date or time")
    timezone: str = Field("UTC", description="Zone of a time that names none")
    gather: Literal["latest", "most_frequent"] = Field(
        "latest",
        description="Where rows are folded: the latest known value, or a list of the three commonest",
    )

    @field_validator("null_if", mode="before")
    @classmethod
    def _as_texts(cls, values: Any) -> Any:
        return tuple(str(value) for value in values) if isinstance(values, list) else values

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no time zone; write one like Europe/Berlin") from error
        return name

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = [self.from_ is not None, self.template is not None, self.constant is not None]
        if sum(origins) != 1:
            raise ValueError("give exactly one of `from`, `template` and `constant`")
        return self

    @property
    def pieces(self) -> tuple[tuple[bool, str], ...]:
        """A template as (is a source column, text) pieces."""
        pieces: list[tuple[bool, str]] = []
        for part in (self.template or "").split("{"):
            name, brace, rest = part.partition("}")
            pieces += [(True, name), (False, rest)] if brace else [(False, part)]
        return tuple(piece for piece in pieces if piece[1])

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Names of the source columns that it reads."""
        named = tuple(name for is_column, name in self.pieces if is_column and name != ROW)
        return (self.from_,) if self.from_ is not None else named

    @property
    def uses_row_number(self) -> bool:
        """Whether the value depends on the row's number in its file."""
        return (True, ROW) in self.pieces


class Condition(_Strict):
    """A test that a row must pass to be read for a table at all (it is not quarantined otherwise)."""

    column: str = Field(description="Name of the source column")
    matches: str | None = Field(None, description="Regular expression found in the value")
    not_matches: str | None = Field(None, description="Regular expression not found in the value")
    above: float | None = Field(None, description="The number must be greater")
    below: float | None = Field(None, description="The number must be smaller")
    equals: str | None = Field(None, description="The text must be this")

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        tests = self.model_dump(exclude={"column"}, exclude_none=True)
        if len(tests) != 1:
            raise ValueError(
                "give exactly one of `matches`, `not_matches`, `above`, `below`, `equals`"
            )
        return self


def _column_shorthand(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


class TableMapping(_Strict):
    """How one canonical table is read."""

    files: str = Field(description="Glob of its files inside the source's folder; .csv or .parquet")
    fold: bool = Field(
        False, description="Fold all rows of one key into one, e.g. rentals into customers"
    )
    only: tuple[Condition, ...] = Field((), description="Rows to read; all conditions must hold")
    columns: dict[str, Annotated[ColumnMapping, BeforeValidator(_column_shorthand)]] = Field(
        description="Canonical column to how it is made"
    )

    @field_validator("files")
    @classmethod
    def _inside_the_folder(cls, pattern: str) -> str:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise ValueError("must stay inside the source's folder")
        if Path(pattern).suffix not in (".csv", ".parquet"):
            raise ValueError("must end in .csv or .parquet")
        return pattern

    @property
    def source_columns(self) -> frozenset[str]:
        """Names of all source columns that the table needs."""
        mapped = {name for column in self.columns.values() for name in column.source_columns}
        return frozenset(mapped | {condition.column for condition in self.only})


class CsvFormat(_Strict):
    """How the source writes CSV."""

    delimiter: str = Field(",", min_length=1, max_length=1)
    quote: str = Field('"', min_length=1, max_length=1)
    encoding: Literal["utf-8", "utf-16", "latin-1"] = "utf-8"
    null: tuple[str, ...] = Field(("",), description="Texts that mean unknown")


class SourceMapping(_Strict):
    """A whole source."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,40}$", description="Stored with every row")
    description: str = ""
    ended: date | None = Field(
        None,
        description="Last day of a historic data set: the ages of its rows are counted from it, not from today",
    )
    csv: CsvFormat = Field(default_factory=lambda: CsvFormat.model_validate({}))
    tables: dict[str, TableMapping] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_the_canonical_model(self) -> Self:
        for name, mapping in self.tables.items():
            _require_canonical(name, mapping)
        return self


def _require_canonical(name: str, mapping: TableMapping) -> None:
    if name not in TABLES:
        raise ValueError(f"tables.{name}: no canonical table; they are {', '.join(TABLES)}")
    table = TABLES[name]
    for column in mapping.columns:
        if column not in table.columns:
            known = ", ".join(table.columns)
            raise ValueError(f"tables.{name}.columns.{column}: no such column; they are {known}")
    for column, (_, _, required) in table.columns.items():
        if required and column not in mapping.columns:
            raise ValueError(f"tables.{name}.columns: the required column {column} is not mapped")
    if mapping.fold and any(mapping.columns[column].uses_row_number for column in table.key):
        raise ValueError(f"tables.{name}.fold: a key made of {{#row}} has nothing to fold")


@cache
def shipped_mappings() -> dict[str, Path]:
    """Name to file of the mappings that come with the platform."""
    folder = Path(__file__).parent / "mappings"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def load_mapping(file: Path) -> SourceMapping:
    """The mapping in `file`; raises `MappingError` naming file, line and path of what is wrong."""
    try:
        text = file.read_text(encoding="utf-8")
        document = yaml.safe_load(text)
        return SourceMapping.model_validate(document)
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{file.name}: cannot be read: {type(error).__name__}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise MappingError(f"{file.name}, line {line}: no valid YAML: {error.problem}") from error
    except ValidationError as error:
        raise MappingError(_explain(file.name, text, error)) from error


def _explain(file_name: str, text: str, error: ValidationError) -> str:
    """One line for each fault, with its line in the file."""
    root = yaml.compose(text)
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        message = fault["msg"].removeprefix("Value error, ")
        path = [str(part) for part in fault["loc"]]
        if not path and message.startswith("tables."):
            path = message.split(":")[0].split(".")
            message = message.partition(": ")[2]
        place = ".".join(path) or "the whole file"
        lines.append(f"{file_name}, line {_line_of(root, path)}, {place}: {message}")
    return "\n".join(lines)


def _line_of(node: yaml.Node | None, path: list[str]) -> int:
    """Line of the deepest part of `path` that the document has; 1 for an empty document."""
    line = node.start_mark.line + 1 if node else 1
    for part in path:
        if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == part]
            if not found:
                break
            key, node = found[0]
            line = key.start_mark.line + 1
    return line
