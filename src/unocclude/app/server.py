"""The server of the page: its routes, all under /api/, and the built page itself."""

import io
import secrets
import socket
import zipfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from PIL import Image
from starlette.concurrency import run_in_threadpool

from unocclude.app import project as folders
from unocclude.app.methods import described
from unocclude.app.pictures import frame_webp, mask_png, provenance_png
from unocclude.app.project import ExportRequest, Job, PageEdit, Settings, remove_quietly
from unocclude.app.results import PLATE, Run, spans
from unocclude.app.security import Guard
from unocclude.app.session import Session
from unocclude.app.views import (
    ClipView,
    MaskStored,
    MethodView,
    ObjectResult,
    ObjectsChange,
    Problem,
    ProjectView,
    ResultView,
    Saved,
    SegmentRequest,
    TrackView,
)
from unocclude.clip import open as open_clip
from unocclude.errors import InputError, UnoccludeError
from unocclude.media.images import png_bytes, read_png
from unocclude.scene import canvas_size
from unocclude.version import __version__

UPLOADS = "/api/clip"
MAX_UPLOAD = 4 << 30
"""Maximum size of an uploaded clip in bytes."""
MAX_MASK = 8 << 20
IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable"}
Key = Annotated[str, InPath(pattern=r"^[\w-]{1,40}$", max_length=40)]
Number = Annotated[int, InPath(ge=0, le=2_000_000)]
Kind = Literal["visible", "amodal", "rgba", "provenance", "disagreement"]
_FOLDERS = {"visible": "visible_masks", "amodal": "amodal_masks"}
Refusals: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (400, 404, 409, 413, 422, 500)}


def make_app(session: Session | None) -> FastAPI:
    """The application; without a session only its OpenAPI description can be used."""
    app = FastAPI(
        title="unocclude", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json",
        responses=Refusals, redirect_slashes=False,
    )  # fmt: skip
    app.add_exception_handler(UnoccludeError, _refused(session))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _broken)
    if session is not None:
        app.state.session = session
    _add_project(app)
    _add_clip(app)
    _add_results(app)
    _add_exports(app)
    _add_page(app)
    return app


def _session(request: Request) -> Session:
    session: Session = request.app.state.session
    return session


def _refused(session: Session | None) -> Callable[..., JSONResponse]:
    def answer(_: Request, error: Exception) -> JSONResponse:
        status = 400 if isinstance(error, InputError) else 500
        return JSONResponse({"detail": session.words(str(error)) if session else ""}, status)

    return answer


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse({"detail": f"{where}: {first['msg']}" if where else str(first["msg"])}, 422)


def _broken(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"the server failed ({type(error).__name__}); see its terminal"}, 500)


def _picture(data: bytes, kind: str, final: bool = True) -> Response:
    return Response(data, media_type=f"image/{kind}", headers=IMMUTABLE if final else {"Cache-Control": "no-store"})


# The project ----------------------------------------------------------------------------------------------------


def _add_project(app: FastAPI) -> None:
    @app.get("/api/project")
    def get_project(request: Request) -> ProjectView:
        """The project as it is."""
        return _view(_session(request))

    @app.put("/api/objects")
    def put_objects(request: Request, change: ObjectsChange) -> Saved:
        """Replace the objects; refused if another page changed the project meanwhile."""
        session = _session(request)
        ids = [item.id for item in change.objects]
        if len(set(ids)) < len(ids) or len(ids) > folders.MAX_OBJECTS:
            raise InputError(f"objects need different ids, and there can be {folders.MAX_OBJECTS} at most")
        with session.project.changing() as state:
            if change.revision < session.objects_changed:
                raise HTTPException(409, "the project was changed in another window")
            for item in change.objects:
                item.in_front_of = [other for other in item.in_front_of if other in ids and other != item.id]
                for cue in item.cues:
                    if cue.mask and not (session.project.folder / cue.mask).is_file():
                        raise InputError("a painted mask is not known; paint it again")
            state.objects = change.objects
            session.objects_changed = state.revision + 1
        return Saved(revision=session.project.state.revision)

    @app.put("/api/settings")
    def put_settings(request: Request, settings: Settings) -> Saved:
        """Choose the method and its options."""
        from unocclude.methods import get_method, read_options

        read_options(get_method(settings.method), dict(settings.options))
        session = _session(request)
        with session.project.changing() as state:
            state.settings = settings
        return Saved(revision=session.project.state.revision)

    @app.put("/api/edit")
    def put_edit(request: Request, edit: PageEdit) -> Saved:
        """Change the edit of the layers."""
        session = _session(request)
        with session.project.changing() as state:
            state.edit = edit
        return Saved(revision=session.project.state.revision)

    @app.get("/api/methods")
    def get_methods() -> list[MethodView]:
        """The methods, with the JSON schema of their options."""
        return [MethodView(**method) for method in described()]

    @app.get("/api/events")
    def get_events(request: Request) -> StreamingResponse:
        """Server-sent events: `project`, `job`, `mask`, `tracked`, `run`, and `reset` where some were missed."""
        last = request.headers.get("last-event-id") or request.query_params.get("last")
        return StreamingResponse(_session(request).events.follow(last), media_type="text/event-stream")

    @app.post("/api/jobs/{kind}")
    def post_job(request: Request, kind: Literal["track", "complete"]) -> Job:
        """Track the objects whose masks are out of date, or complete all of them; a run that was begun is resumed."""
        session = _session(request)
        _ = session.clip
        if session.project.marked() is None:
            raise InputError("nothing is marked; click an object first")
        waiting = next((j for j in session.project.state.jobs if j.kind == kind and j.state == "queued"), None)
        return waiting or session.jobs.add(Job(kind=kind))

    @app.delete("/api/jobs/{number}")
    def delete_job(request: Request, number: Key) -> Saved:
        """Cancel a job."""
        session = _session(request)
        if session.project.job(number) is None:
            raise HTTPException(404, "there is no such job")
        session.jobs.cancel(number)
        return Saved(revision=session.project.state.revision)


def _view(session: Session) -> ProjectView:
    from unocclude.perception.locate import has_sam2

    with session.project.lock:
        state, clip = session.project.state.model_copy(deep=True), session.project.clip
    record = state.clip
    return ProjectView(
        revision=state.revision,
        folder=session.project.folder.name,
        version=__version__,
        clip=ClipView(**record.model_dump(exclude={"path"})) if record and clip is not None else None,
        objects=state.objects,
        settings=state.settings,
        edit=state.edit,
        edit_key=session.edit_key(),
        jobs=state.jobs,
        tracks=[view for item in state.objects if (view := _track_view(session, item.id))],
        results=[_result_view(session, run) for run in session.results.runs()],
        command=session.command(),
        tracker="SAM 2" if has_sam2() else "flow+cut",
    )


def _track_view(session: Session, number: int) -> TrackView | None:
    stored, item = session.track(number), session.project.object(number)
    if stored is None or item is None:
        return None
    return TrackView(
        object=number, version=stored.version, current=stored.cues == folders.cues_key(item),
        origin=stored.track.origin, visible=[bool(area) for area in stored.track.areas], doubtful=stored.doubtful,
    )  # fmt: skip


def _result_view(session: Session, run: Run) -> ResultView:
    from unocclude.layers.result import LayersInfo

    clip, figures = session.clip, session.results.figures(run)
    height, width = canvas_size(clip, run.pad)
    order = LayersInfo.read(run.folder).order if run.finished else []
    return ResultView(
        run=run.id, finished=run.finished, hypotheses=run.hypotheses, width=width, height=height,
        offset=((width - clip.width) // 2, (height - clip.height) // 2), plate=run.plate,
        objects=[
            ObjectResult(
                id=number, ready=run.ready[number],
                occlusion=[float(frame["occlusion_rate"]) for frame in figures.get(number, [])],
                doubtful=spans(figures.get(number, [])),
            )
            for number in run.objects
        ],
        order=[(part["start"], part["end"], part["ids"]) for part in order],
    )  # fmt: skip


# The clip and its masks -----------------------------------------------------------------------------------------


def _add_clip(app: FastAPI) -> None:
    @app.post(UPLOADS)
    async def post_clip(request: Request, name: Annotated[str, Query(min_length=1, max_length=255)]) -> Saved:
        """Upload a clip, as the request's body, to a project that has none."""
        session = _session(request)
        if session.project.clip is not None:
            raise HTTPException(409, "this project has a clip; start unocclude app with another --project")
        suffix = Path(name).suffix.lower()
        suffix = suffix if suffix[1:].isalnum() and suffix.isascii() and len(suffix) < 10 else ""
        file = session.project.folder / folders.UPLOADS / f"{secrets.token_hex(8)}{suffix}"
        try:
            with file.open("xb") as target:
                async for part in request.stream():
                    target.write(part)
            clip = await run_in_threadpool(open_clip, file)
            await run_in_threadpool(lambda: clip[0])  # a broken file may open
        except UnoccludeError as error:
            remove_quietly(file)
            raise InputError(str(error).replace(str(file), name)) from None
        except OSError as error:
            remove_quietly(file)
            raise UnoccludeError(f"{name} cannot be stored: {error.strerror or error}") from None
        except BaseException:
            remove_quietly(file)
            raise
        session.project.take(clip, name)
        session.open(clip)
        return Saved(revision=session.project.state.revision)

    @app.get("/api/clips/{clip}/frames/{frame}.webp", response_class=Response)
    def get_frame(
        request: Request, clip: Key, frame: Number, side: Annotated[int | None, Query(ge=64, le=4096)] = None
    ) -> Response:
        """A frame of the clip, scaled down to `side` pixels."""
        session = _session(request)
        if session.clip.fingerprint != clip or frame >= len(session.clip):
            raise HTTPException(404, "there is no such frame")
        key = ("frame", clip, frame, side)
        return _picture(session.pictures.get(key, lambda: frame_webp(session.clip[frame], side)), "webp")

    @app.post("/api/segment", response_class=Response)
    def post_segment(request: Request, asked: SegmentRequest) -> Response:
        """The mask of one frame from the cues there, as PNG; its score is in the header X-Score."""
        found = _session(request).segment(asked.frame, asked.object)
        return Response(mask_png(found.mask), media_type="image/png", headers={"X-Score": f"{found.score:.3f}"})

    @app.post("/api/masks")
    async def post_mask(request: Request) -> MaskStored:
        """Store a painted mask: the request's body, a PNG of the clip's size, opaque or white on the object."""
        session = _session(request)
        data = await request.body()
        return MaskStored(mask=session.project.store_mask(_painted(session, data)))

    @app.get("/api/tracks/{number}/{version}/{frame}.png", response_class=Response)
    def get_mask(request: Request, number: Number, version: Key, frame: Number) -> Response:
        """An object's tracked mask; also while it is being tracked, when it may still change."""
        session = _session(request)
        found = session.mask(number, version, frame) if frame < len(session.clip) else None
        if found is None:
            raise HTTPException(404, "there is no such mask")
        return _picture(mask_png(found[0]), "png", final=found[1])


def _painted(session: Session, data: bytes) -> bytes:
    """A painted mask as we store it."""
    clip = session.clip
    if len(data) > MAX_MASK:
        raise HTTPException(413, "that is too large")
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG",))
        if picture.size != (clip.width, clip.height):
            raise InputError(f"a painted mask has {picture.width}x{picture.height} pixels, the clip has others")
        pixels = np.asarray(picture.convert("LA"))
    except InputError:
        raise
    except Exception:
        raise InputError("a painted mask is no PNG") from None
    return png_bytes(((pixels[..., 0] > 127) & (pixels[..., 1] > 127)).astype(np.uint8) * 255)


# Results --------------------------------------------------------------------------------------------------------


def _run(request: Request, number: str) -> tuple[Session, Run]:
    session = _session(request)
    run = session.results.run(number)
    if run is None:
        raise HTTPException(404, "there is no such result")
    return session, run


def _there(file: Path | None) -> Path:
    if file is None or not file.is_file():
        raise HTTPException(404, "this frame is not there yet")
    return file


def _add_results(app: FastAPI) -> None:
    @app.get("/api/results/{run}/objects/{number}/{kind}/{frame}.png", response_class=Response)
    def get_picture(request: Request, run: Key, number: Number, kind: Kind, frame: Number) -> Response:
        """A picture of an object in a result, as soon as it is there."""
        session, found = _run(request, run)
        file = _there(session.results.picture(found, _FOLDERS.get(kind, kind), frame, number))
        if kind in ("rgba", "disagreement"):
            return FileResponse(file, media_type="image/png", headers=IMMUTABLE)
        image = read_png(file)
        return _picture(provenance_png(image) if kind == "provenance" else mask_png(image > 127), "png")

    @app.get("/api/results/{run}/objects/{number}/hypotheses/{sample}/{frame}.png", response_class=Response)
    def get_hypothesis(request: Request, run: Key, number: Number, sample: Number, frame: Number) -> Response:
        """The RGBA of one hypothesis."""
        session, found = _run(request, run)
        if not 1 <= sample <= found.hypotheses:
            raise HTTPException(404, "there is no such hypothesis")
        file = _there(session.results.picture(found, f"hypotheses/{sample}/rgba", frame, number))
        return FileResponse(file, media_type="image/png", headers=IMMUTABLE)

    @app.get("/api/results/{run}/plate/{frame}.webp", response_class=Response)
    def get_plate(request: Request, run: Key, frame: Number) -> Response:
        """The clean plate."""
        session, found = _run(request, run)
        file = _there(session.results.picture(found, PLATE, frame))
        return _picture(session.pictures.get(("plate", run, frame), lambda: frame_webp(read_png(file))), "webp")

    @app.get("/api/results/{run}/composed/{edit}/{frame}.webp", response_class=Response)
    def get_composed(request: Request, run: Key, edit: Key, frame: Number) -> Response:
        """The layers put together as edited. edit: the project's `edit_key`."""
        session, found = _run(request, run)
        if not found.finished or frame >= found.frames:
            raise HTTPException(404, "this frame is not there yet")
        if edit != session.edit_key():
            raise HTTPException(409, "the edit has changed")
        chosen = session.project.state.edit
        key = ("composed", run, edit, frame)
        data = session.pictures.get(key, lambda: frame_webp(session.results.composed(found, chosen, frame)))
        return _picture(data, "webp")


# Exports --------------------------------------------------------------------------------------------------------


def _add_exports(app: FastAPI) -> None:
    @app.post("/api/exports")
    def post_export(request: Request, asked: ExportRequest) -> Job:
        """Export to the project's folder."""
        session = _session(request)
        runs = [run for run in session.results.runs() if run.finished]
        if not runs:
            raise InputError("there is no finished result; complete the objects first")
        if asked.what == "object" and asked.object not in runs[0].objects:
            raise InputError("the result has no such object")
        single, together = (".mov", ".webm", ".mp4", ".gif", ".png", ".exr"), (".otio", ".exr", ".psd", "folder")
        if asked.format not in (together if asked.what == "layers" else single):
            raise InputError(f"{asked.format} does not go with {asked.what}")
        return session.jobs.add(Job(kind="export", export=asked))

    @app.get("/api/exports/{number}", response_class=FileResponse)
    def get_export(request: Request, number: Key) -> FileResponse:
        """Download what a job exported; several files as one archive."""
        session = _session(request)
        job = session.project.job(number)
        if job is None or job.kind != "export" or job.state != "done" or not job.files:
            raise HTTPException(404, "there is no such export")
        folder = session.project.folder / folders.EXPORTS / job.id
        if len(job.files) == 1:
            return _download(_there(folder / job.files[0]))
        archive = folder.with_suffix(".zip")
        if not archive.is_file():
            part = archive.with_suffix(".part")
            with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as target:
                for name in job.files:
                    target.write(_there(folder / name), name)
            part.replace(archive)
        return _download(archive, f"{Path(job.files[-1]).parts[0].split('.')[0]}.zip")


def _download(file: Path, name: str | None = None) -> FileResponse:
    return FileResponse(file, media_type="application/octet-stream", filename=name or file.name)


# The page -------------------------------------------------------------------------------------------------------

PAGE_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
NOT_BUILT = (
    "<!doctype html><title>unocclude</title><p>The page is not built. In a checkout, run <code>make app</code> "
    "(it needs Node), then start the server again."
)


def _add_page(app: FastAPI) -> None:
    built = files("unocclude.app") / "page"
    pages = {}
    for folder, prefix in ((built, ""), (built / "assets", "assets/")):
        if folder.is_dir():
            pages.update({prefix + item.name: item for item in folder.iterdir() if item.is_file()})

    @app.get("/", include_in_schema=False)
    def get_page() -> Response:
        if "index.html" not in pages:
            return Response(NOT_BUILT, 503, media_type="text/html")
        return Response(pages["index.html"].read_bytes(), media_type="text/html")

    @app.get("/assets/{name}", include_in_schema=False)
    def get_asset(name: str) -> Response:
        item = pages.get(f"assets/{name}")
        if item is None:
            raise HTTPException(404, "there is no such file")
        kind = PAGE_KINDS.get(Path(name).suffix, "application/octet-stream")
        return Response(item.read_bytes(), media_type=kind, headers=IMMUTABLE)


# Running --------------------------------------------------------------------------------------------------------


class Server(uvicorn.Server):
    """A server of an application on this machine alone. address: the start page, with the token."""

    def __init__(self, app: Any, port: int, uploads: str = "", upload_bytes: int = 1 << 20):
        self._socket = _listen(port)
        self.port = self._socket.getsockname()[1]
        self.token = secrets.token_urlsafe()
        self.address = f"http://127.0.0.1:{self.port}/?token={self.token}"
        super().__init__(
            uvicorn.Config(
                Guard(app, self.port, self.token, uploads, upload_bytes), log_level="error", access_log=False,
                lifespan="off", server_header=False, timeout_graceful_shutdown=1, ws="none",
            )
        )  # fmt: skip

    def serve_here(self) -> None:
        """Serve until the process is interrupted."""
        self.run(sockets=[self._socket])


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(64)  # before the address is printed
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"port {port} cannot be used: {reason}; give another --port") from error
    return listener


def make_server(session: Session, port: int = 0) -> Server:
    """The server of a session, not yet running; port 0 chooses a free one. Raises InputError if it cannot be used."""
    return Server(make_app(session), port, UPLOADS, MAX_UPLOAD)
