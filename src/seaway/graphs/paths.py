"""The text of a condition, read into components: the part of gjson's path language that graphs may use.

In: ``predictions.#(probability>0.5).label``. Out: a tuple of components. What is outside of the part is refused in
words, as an answer that differs from the cluster's router would be worse than none. Source of the language: the page
"GJSON Path Syntax" of github.com/tidwall/gjson; its corners were looked up in gjson itself, as a black box.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from seaway.errors import InputError

OPERATORS = ("==", "!=", "<=", ">=", "!%", "=", "<", ">", "%")
"""Longest first. ``%`` compares with a pattern of ``*`` and ``?``."""
NESTING_LIMIT = 20
"""Queries in queries."""
INDEX_DIGITS = 9
_COMPARING = "=!<>%~"
_NOT_IN_KEYS = frozenset("|()[]{}\"'`,#" + _COMPARING)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_HEXADECIMAL = re.compile(r"[+-]?0[xX][^pP]*[pP].*")
_WORD = re.compile(r"[^\W\d][\w .:/+-]*")
_PATTERN = re.compile(r"[\w*?][\w *?.:/+-]*")
_DECIMAL = re.compile(r"[0-9_.eE+-]+")
_UNENDING = re.compile(r"nan|[+-]?inf(inity)?", re.IGNORECASE)
"""What Go reads as a number too."""


@dataclass(frozen=True)
class Glob:
    """A pattern in which ``*`` stands for any text and ``?`` for any one character."""

    tokens: tuple[str, ...]
    """One character each, ``\\*`` and ``\\?`` for the two that are meant as they are."""

    def matches(self, text: str) -> bool:
        """Whether all of ``text`` fits; takes time in proportion to both lengths, whatever the pattern."""
        tokens, at, i = self.tokens, 0, 0
        star, resume = -1, 0
        while i < len(text):
            wanted = tokens[at] if at < len(tokens) else ""
            if wanted == "*":
                star, resume = at, i
                at += 1
            elif wanted == "?" or wanted[-1:] == text[i]:
                at, i = at + 1, i + 1
            elif star >= 0:
                resume += 1
                at, i = star + 1, resume
            else:
                return False
        return all(one == "*" for one in tokens[at:])


@dataclass(frozen=True)
class Key:
    """One member of an object, or, when it is a number, one element of a list."""

    name: str
    """Without escapes; empty for a pattern."""
    glob: Glob | None = None
    index: int | None = None


@dataclass(frozen=True)
class Each:
    """``#``: how many elements, or what follows for each of them."""


@dataclass(frozen=True)
class Operand:
    """The right side of a comparison."""

    text: str
    number: float
    """What values that are numbers are compared with: 0 for a text that is none."""
    glob: Glob | None = None


@dataclass(frozen=True)
class Query:
    """``#(...)``: the first element that fits; ``#(...)#``: all of them."""

    path: tuple[Component, ...]
    operator: str
    """One of OPERATORS with ``==`` for ``=``; empty asks whether the path is there."""
    operand: Operand | None
    every: bool


Component = Key | Each | Query


@dataclass(frozen=True)
class Path:
    """A whole condition."""

    components: tuple[Component, ...]
    listed: bool = False
    """Begins with ``[@this]``: the document as the only element of a list, so that it can be queried."""


def parse(text: str) -> Path:
    """Read a condition.

    Raises:
        InputError: it is outside of the part of the language that graphs may use.
    """
    reader = _Reader(text)
    if not text:
        raise reader.refused("must name a key")
    if text != text.strip() or any(one < " " for one in text):
        raise reader.refused("must not begin or end with a space nor have line ends or tabs")
    listed = False
    for start in ("[@this]", "@this"):
        if text.startswith(start):
            reader.at, listed = len(start), start[0] == "["
            if reader.at == len(text):
                return Path((), listed)
            if not reader.taken("."):
                raise reader.refused(f"must go on with '.' after {start}")
            break
    found = reader.path(0)
    if reader.at < len(text):
        raise reader.refused(f"must end at character {reader.at}, found {text[reader.at :]!r} there")
    return Path(found, listed)


class _Reader:
    """Reads from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def refused(self, why: str) -> InputError:
        return InputError(f"the condition {why}, found {self.text!r}")

    def here(self) -> str:
        return self.text[self.at : self.at + 1]

    def taken(self, what: str) -> bool:
        if not self.text.startswith(what, self.at):
            return False
        self.at += len(what)
        return True

    def spaces(self) -> None:
        while self.taken(" "):
            pass

    def path(self, depth: int) -> tuple[Component, ...]:
        found = [self.component(depth)]
        while self.taken("."):
            found.append(self.component(depth))
        return tuple(found)

    def component(self, depth: int) -> Component:
        if not self.taken("#"):
            return self.key(depth)
        if self.taken("("):
            if depth >= NESTING_LIMIT:
                raise self.refused(f"must have at most {NESTING_LIMIT} queries in one another")
            return self.query(depth + 1)
        if self.here() not in ("", ".") and not (depth and self.here() in _COMPARING + " )"):
            raise self.refused("must write '#' alone, as '#(...)', or as '\\#' for a key's character")
        return Each()

    def key(self, depth: int) -> Key:
        start, tokens, name = self.at, [], ""
        while self.here() not in ("", "."):
            one = self.here()
            if depth and (one in _COMPARING or one == ")"):
                break
            if one == "\\":
                self.at += 1
                one = self.here()
                if not one or one.isalnum() or one == " ":
                    raise self.refused("must have a special character after each '\\'")
                tokens.append("\\" + one if one in "*?" else one)
            elif one in _NOT_IN_KEYS or (self.at == start and one in "@:"):
                raise self.refused(self._hint(one))
            else:
                tokens.append(one)
            name += one
            self.at += 1
        written = self.text[start : self.at]
        if depth and self.here() != ".":
            # spaces before an operator or the end of a query are nobody's name
            written, name = written.rstrip(" "), name.rstrip(" ")
            tokens = tokens[: len(name)]
        if not name:
            raise self.refused(f"must name a key at character {start}")
        if "*" in tokens or "?" in tokens:
            if "\\" in written.replace("\\.", ""):
                raise self.refused("must not mix '*' and '?' with '\\' other than '\\.' in one key")
            return Key("", Glob(tuple(tokens)))
        if not (written.isascii() and written.isdigit()):
            return Key(name)
        if len(written) > INDEX_DIGITS:
            raise self.refused(f"must have indices of at most {INDEX_DIGITS} digits")
        return Key(name, index=int(written))

    def _hint(self, one: str) -> str:
        hints = {
            "|": "must use '.' between keys, '|' is not read here",
            "@": "must not use modifiers other than a leading @this",
            "{": "must not make new objects with {...}: that is always there, so the condition would always hold",
            "[": "must write a.0 for an element of a list and [@this] only as its beginning",
            '"': "must write keys without quotes",
        }
        comparing = (
            f"must write comparisons as queries, for instance [@this].#(late==true); {one!r} is no part of a key"
        )
        return hints.get(one, comparing if one in _COMPARING else f"must write '\\{one}' for {one!r} in a key")

    def query(self, depth: int) -> Query:
        self.spaces()
        path: tuple[Component, ...] = ()
        if self.here() not in tuple(_COMPARING):
            if self.here() == ")":
                raise self.refused("must ask something in '#(...)'")
            path = self.path(depth)
            self.spaces()
        operator = next((one for one in OPERATORS if self.taken(one)), "")
        operand = None
        if operator:
            operator = "==" if operator == "=" else operator
            operand = self.operand(operator)
        if not self.taken(")"):
            raise self.refused(f"must close its query with ')' at character {self.at}")
        return Query(path, operator, operand, every=self.taken("#"))

    def operand(self, operator: str) -> Operand:
        if self.here() == "~":
            raise self.refused("must compare with a value, the operator '~' is not read here")
        self.spaces()
        text = self.quoted() if self.here() == '"' else self.bare(pattern="%" in operator)
        if text.startswith("~") or "|" in text:
            raise self.refused("must not compare with a text that begins with '~' or has a '|'")
        if _HEXADECIMAL.fullmatch(text):
            raise self.refused(f"must write numbers as decimals, found {text!r}")
        return Operand(text, _number(text), glob(text) if "%" in operator else None)

    def quoted(self) -> str:
        end = self.at + 1
        while end < len(self.text) and self.text[end] != '"':
            end += 2 if self.text[end] == "\\" else 1
        try:
            found = str(json.loads(self.text[self.at : end + 1]))
            found.encode()
        except ValueError:
            raise self.refused("must write texts as JSON does, in double quotes") from None
        self.at = end + 1
        self.spaces()
        return found

    def bare(self, *, pattern: bool) -> str:
        end = self.text.find(")", self.at)
        text = self.text[self.at : end if end >= 0 else len(self.text)].strip(" ")
        fits = _NUMBER.fullmatch(text) or (_PATTERN if pattern else _WORD).fullmatch(text)
        if not fits or _UNENDING.fullmatch(text):
            raise self.refused("must compare with a number, true, false or a text in double quotes")
        self.at = end if end >= 0 else len(self.text)
        return text


def glob(text: str) -> Glob:
    """A pattern; a backslash takes the meaning from the character after it."""
    tokens, escaped = [], False
    for one in text:
        if escaped:
            tokens.append("\\" + one if one in "*?" else one)
            escaped = False
        elif one == "\\":
            escaped = True
        else:
            tokens.append(one)
    return Glob(tuple(tokens))


def _number(text: str) -> float:
    """As Go's strconv.ParseFloat reads it, whose errors are passed over: of decimals the same as Python."""
    if not _UNENDING.fullmatch(text) and not _DECIMAL.fullmatch(text):
        return 0.0
    try:
        return float(text)
    except ValueError:
        return 0.0
