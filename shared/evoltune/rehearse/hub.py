"""A stand-in for the Hugging Face hub on loopback: it speaks the protocol of the real clients, from a folder of repositories.

    with serving_hub(Path("hub")) as url:        # hub/models/OWNER/NAME/..., hub/datasets/OWNER/NAME/...
        os.environ["HF_ENDPOINT"] = url          # before huggingface_hub is imported

What `huggingface_hub` and `datasets` ask for when they read a public repository is answered as the hub answers it: repository
information, file listings, files with their ETag and commit, and the errors for a missing repository, revision or file. A
repository that holds the file GATED is refused with the hub's own code unless a token is sent. Nothing can be uploaded.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from evoltune.rehearse.loopback import serving_app

GATED = ".gated"
"""A repository with a file of this name needs an accepted licence; the file itself is not listed."""
MAIN = "main"


@dataclass(frozen=True)
class Repository:
    kind: str
    name: str
    folder: Path

    @property
    def files(self) -> dict[str, Path]:
        found = (p for p in sorted(self.folder.rglob("*")) if p.is_file() and p.name != GATED)
        return {p.relative_to(self.folder).as_posix(): p for p in found}

    @property
    def commit(self) -> str:
        """40 hex digits that depend on the names and contents of the files."""
        sha = hashlib.sha1(self.name.encode(), usedforsecurity=False)
        for name, path in self.files.items():
            sha.update(f"{name}\0{blob_id(path)}\0".encode())
        return sha.hexdigest()

    @property
    def is_gated(self) -> bool:
        return (self.folder / GATED).exists()


def blob_id(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


@contextmanager
def serving_hub(root: Path) -> Iterator[str]:
    """Serves the repositories below `root` from a thread of this process; yields the URL for HF_ENDPOINT."""
    with serving_app(_Hub(root).app(), "stand-in hub") as url:
        yield url


class _Hub:
    def __init__(self, root: Path) -> None:
        self.root = root

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        try:
            if parts[:1] == ["api"]:
                return await self._api(request, parts[1:])
            return self._file(request, parts)
        except _Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            return web.json_response({"error": refusal.message}, status=refusal.status, headers=headers)

    # ---- /api/KIND/OWNER/NAME[/revision/REV | /tree/REV/PATH | /paths-info/REV]

    async def _api(self, request: web.Request, parts: list[str]) -> web.Response:
        if len(parts) < 3 or parts[0] not in ("models", "datasets"):
            raise _Refusal(404, "NotFound", f"the stand-in hub does not serve {request.path}")
        repository = self._repository(request, parts[0], f"{parts[1]}/{parts[2]}")
        what, rest = (parts[3], parts[4:]) if len(parts) > 3 else ("revision", [MAIN])
        revision, path = _revision(repository, rest)
        if what == "revision":
            return web.json_response(_information(repository))
        if what == "tree":
            recursive = request.query.get("recursive", "").lower() in ("1", "true")
            listed = _tree(repository, path, recursive)
            if not listed and path:
                raise _Refusal(404, "EntryNotFound", f"{path} does not exist on {revision!r}")
            return web.json_response(listed)
        if what == "paths-info":
            form = await request.post()
            wanted = [str(value).strip("/") for value in form.getall("paths", [])] or (await _json_paths(request))
            return web.json_response([e for e in _tree(repository, "", recursive=True) if e["path"] in wanted])
        raise _Refusal(404, "NotFound", f"the stand-in hub does not serve {request.path}")

    # ---- [datasets/]OWNER/NAME/resolve/REV/FILE

    def _file(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        kind = "models"
        if parts[:1] == ["datasets"]:
            kind, parts = "datasets", parts[1:]
        if len(parts) < 5 or parts[2] not in ("resolve", "raw"):
            raise _Refusal(404, "NotFound", f"the stand-in hub does not serve {request.path}")
        repository = self._repository(request, kind, f"{parts[0]}/{parts[1]}")
        _, path = _revision(repository, parts[3:])
        file = repository.files.get(path)
        if file is None:
            raise _Refusal(404, "EntryNotFound", f"Entry not found: {path}")
        headers = {"X-Repo-Commit": repository.commit, "ETag": f'"{blob_id(file)}"', "Accept-Ranges": "bytes"}
        return web.FileResponse(file, headers=headers)

    def _repository(self, request: web.Request, kind: str, name: str) -> Repository:
        folder = self.root / kind / name
        if ".." in name or not folder.is_dir():
            # As the hub does: whether a repository is private or missing is not told to somebody without a token.
            raise _Refusal(
                401 if "Authorization" not in request.headers else 404, "RepoNotFound", "Repository not found"
            )
        repository = Repository(kind, name, folder)
        if repository.is_gated and "Authorization" not in request.headers:
            message = f"Access to {kind[:-1]} {name} is restricted. You must have access to it and be authenticated to access it."
            raise _Refusal(401, "GatedRepo", message)
        return repository


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def _revision(repository: Repository, rest: list[str]) -> tuple[str, str]:
    """(revision, path below it) of the end of a URL; refs/convert/parquet and other refs do not exist here."""
    revision = rest[0] if rest else MAIN
    if revision not in (MAIN, repository.commit):
        raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return revision, "/".join(rest[1:])


def _information(repository: Repository) -> dict[str, Any]:
    return {
        "_id": repository.commit[:24], "id": repository.name, "sha": repository.commit, "private": False,
        "gated": "auto" if repository.is_gated else False, "disabled": False, "downloads": 0, "likes": 0, "tags": [],
        "lastModified": "2024-01-01T00:00:00.000Z", "createdAt": "2024-01-01T00:00:00.000Z",
        "author": repository.name.split("/")[0],
        "siblings": [{"rfilename": name} for name in repository.files],
    }  # fmt: skip


def _tree(repository: Repository, path: str, recursive: bool) -> list[dict[str, Any]]:
    folders: set[str] = set()
    entries: list[dict[str, Any]] = []
    for name, file in repository.files.items():
        below = name.removeprefix(f"{path}/") if path else name
        if path and below == name:
            continue
        parents = below.split("/")[:-1]
        prefix = f"{path}/" if path else ""
        folders.update(
            prefix + "/".join(parents[: i + 1]) for i in range(len(parents) if recursive else min(1, len(parents)))
        )
        if recursive or not parents:
            entries.append({"type": "file", "path": name, "size": file.stat().st_size, "oid": blob_id(file)})
    return [*({"type": "directory", "path": f, "size": 0, "oid": "0" * 40} for f in sorted(folders)), *entries]


async def _json_paths(request: web.Request) -> list[str]:
    if request.content_type != "application/json":
        return []
    body = await request.json()
    return [str(path).strip("/") for path in body.get("paths", [])]
