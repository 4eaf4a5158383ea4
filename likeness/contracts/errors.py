"""Errors that name the object and the next step; the command line prints them as one line."""

from __future__ import annotations


class LikenessError(Exception):
    """Base of every error a user can cause or cure.

    Args:
        subject: What it is about: a file, a clip, a key ("footage.mp4", "params.yaml:12").
        problem: What is wrong with it, in a few words.
        next_step: What the reader can do about it.
    """

    exit_code = 2

    def __init__(self, subject: object, problem: str, next_step: str) -> None:
        # A name that is not UTF-8 would end in a traceback where it is printed.
        self.subject = (
            str(subject).encode(errors="surrogateescape").decode(errors="backslashreplace")
        )
        self.problem = problem
        self.next_step = next_step
        super().__init__(subject, problem, next_step)

    def __str__(self) -> str:
        text = f"{self.subject}: {self.problem}; {self.next_step}"
        # One line, whatever a name holds: a line break or an escape sequence is shown as such.
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class FootageError(LikenessError):
    """Footage that cannot be read: empty, truncated, without video, unknown codec."""


class ParamsError(LikenessError):
    """A YAML key or value that the schema does not allow."""


class CatalogError(LikenessError):
    """A clip, identity or slug that the catalogue does not know or does not accept."""


class ConsentError(CatalogError):
    """A consent record that is missing, incomplete, expired, revoked or of the wrong role."""


class TableError(LikenessError):
    """A Parquet file whose schema, version or content is not what the stage reads."""


class WeightsError(LikenessError):
    """Weights that are missing, unreachable or whose sha256 differs."""


class ModelError(LikenessError):
    """A model that cannot be built, trained, resumed or used."""


class GraphError(LikenessError):
    """DVC refused, failed or does not know the stage."""
