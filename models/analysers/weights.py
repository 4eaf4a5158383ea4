"""The catalogue of frozen weights and demo footage (weights.toml), and their place on disk."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field

from likeness.contracts.documents import Document, sha256_of, validate
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import WeightsError

EMBEDDED = "embedded"
CATALOGUE = Path(__file__).with_name("weights.toml")


class Source(Document):
    """A package or archive that files are taken out of."""

    kind: Literal["sdist", "wheel", "npm", "url"]
    package: str
    version: str
    python_versions: tuple[str, ...] = Field(default=(), description="whose wheels hold the file")
    platform: str = Field(default="", description="wheel platform; empty: any")
    url: str = ""
    sha256: str = Field(default="", description="of the archive; asked of `url` sources only")


class Weight(Document):
    """One file: where it comes from, what it must hash to, what it is for."""

    role: str
    source: str = Field(description="key under [sources]")
    member: str = Field(description="path inside the archive")
    sha256: str = ""
    licence: str = Field(min_length=1)


class PackEntry(Document):
    """A set of analysers that belong together; embeddings of two packs are never compared."""

    parts: tuple[str, ...] = Field(description="keys under [weights]")
    embedding_dim: int
    threshold: float = Field(description="cosine from which two embeddings are one person")


class Catalogue(Document):
    """weights.toml."""

    packs: dict[str, PackEntry]
    sources: dict[str, Source]
    weights: dict[str, Weight]

    def pack(self, name: str) -> PackEntry:
        """The pack `name`.

        Raises:
            WeightsError: unknown; the known ones are listed.
        """
        if name not in self.packs:
            known = ", ".join(sorted(self.packs))
            raise WeightsError(f"pack `{name}`", "is not in weights.toml", f"choose from: {known}")
        return self.packs[name]

    def shared_parts(self) -> tuple[str, ...]:
        """Parts of the embedded pack that every pack uses: all but detector and embedder."""
        parts = self.pack(EMBEDDED).parts
        return tuple(p for p in parts if self.weights[p].role not in ("detector", "embedder"))

    def named(self, role: str) -> list[str]:
        """Names of all weights of a role, sorted."""
        return sorted(name for name, weight in self.weights.items() if weight.role == role)


@functools.cache
def load_catalogue(path: Path = CATALOGUE) -> Catalogue:
    """Read and validate weights.toml.

    Raises:
        ParamsError: a key or value that is not allowed.
        WeightsError: no valid TOML.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise WeightsError(path, f"is not valid TOML ({error})", "correct that line") from None
    return validate(Catalogue, content, path)


def place(name: str, catalogue: Catalogue | None = None) -> Path:
    """Where the file of weight `name` lies once fetched: <state>/downloads/<source>/<file>."""
    catalogue = catalogue or load_catalogue()
    weight = catalogue.weights[name]
    source = catalogue.sources[weight.source]
    folder = f"{source.package}-{source.version}"
    return state_folder() / "downloads" / folder / Path(weight.member).name


def check(name: str, path: Path, catalogue: Catalogue | None = None) -> None:
    """Check that the file at `path` is weight `name`, byte for byte.

    Raises:
        WeightsError: no sha256 is pinned, or it differs.
    """
    catalogue = catalogue or load_catalogue()
    weight = catalogue.weights[name]
    source = catalogue.sources[weight.source]
    subject = f"{name} ({source.package} {source.version})"
    if not weight.sha256:
        step = f"set `sha256` under [weights.{name}] in {CATALOGUE.name} from a trusted copy"
        raise WeightsError(subject, "has no sha256 to be checked by", step)
    found = sha256_of(path)
    if found != weight.sha256:
        problem = f"sha256 is {found[:12]}..., not {weight.sha256[:12]}..."
        raise WeightsError(subject, problem, f"delete {path} and fetch again")
