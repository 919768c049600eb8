"""The registry of methods. Their classes are imported on demand."""

import importlib.util
import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unocclude.errors import InputError
from unocclude.registry import Registry

if TYPE_CHECKING:  # names alone, for shell completion, must not import OpenCV
    from unocclude.methods.base import Method, MethodOptions, RunSettings

METHODS = Registry(
    "unocclude.methods",
    "method",
    {
        "recall": "unocclude.methods.recall.method:Recall",
        "diffusion-vas": "unocclude.methods.diffusion_vas.method:DiffusionVAS",
        "ic-amodal": "unocclude.methods.ic_amodal.method:ICAmodal",
        "ic-amodal-plus": "unocclude.methods.ic_amodal.method:ICAmodalPlus",
        "tgvac": "unocclude.methods.tgvac.method:TGVAC",
        "cogvideox-amodal": "unocclude.methods.cogvideox_amodal.method:CogVideoXAmodal",
        "pix2gestalt": "unocclude.methods.pix2gestalt.method:Pix2Gestalt",
        "open-world": "unocclude.methods.open_world.method:OpenWorld",
        "modal": "unocclude.methods.baselines:Modal",
        "convex": "unocclude.methods.baselines:Convex",
        "convex-r": "unocclude.methods.baselines:ConvexR",
    },
)
"""All methods by name: classes derived from `unocclude.methods.base.Method`."""


def get_method(name: str) -> "type[Method]":
    """The class of a method; raises InputError if it is unknown, broken, or needs a package that is missing."""
    try:
        method = METHODS.load(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "unocclude":
            raise
        raise InputError(
            f"method {name} needs {error.name}, which is not installed; pip install 'unocclude[diffusion]'"
        ) from error
    from unocclude.methods.base import Method

    if not (isinstance(method, type) and issubclass(method, Method)):
        raise METHODS.broken(name, f"{method!r} is not a class derived from unocclude.methods.base.Method")
    if getattr(method, "name", None) != name:
        raise METHODS.broken(name, f"{method.__name__} does not say name = {name!r}, as it is registered")
    return method


def loadable_methods() -> "dict[str, type[Method]]":
    """The classes of all methods that can be imported here, by name."""
    found = {}
    for name in METHODS:
        try:
            found[name] = get_method(name)
        except InputError:
            continue
    return found


def read_options(method: "type[Method]", pairs: dict[str, object]) -> "MethodOptions":
    """Validate a method's options from KEY=VALUE pairs; raises InputError naming the key and what it accepts."""
    from pydantic import ValidationError

    try:
        return method.Options.model_validate(pairs)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(method.Options.model_fields) or "none"
            raise InputError(f"method {method.name} has no option {key!r}; its options: {known}") from None
        raise InputError(
            f"option {key}={reprlib.repr(first['input'])} of method {method.name}: {first['msg']}"
        ) from None


DEVICES = ("auto", "cpu", "cuda")


def create(name: str, options: dict[str, Any], settings: "RunSettings", kind: "type[Method] | None" = None) -> "Method":
    """A method that is ready to complete objects.

    options: its own, as in `--set`. kind: its class, if that is known already. Raises InputError where the method, an
    option or a setting is unknown, or where it cannot run here.
    """
    cls = kind or get_method(name)
    chosen = read_options(cls, options)
    if settings.hypotheses < 1:
        raise InputError(f"hypotheses is {settings.hypotheses}, expected 1 or more")
    if settings.hypotheses > 1 and not cls.samples:
        raise InputError(f"method {name} cannot sample several hypotheses; leave out --hypotheses")
    if settings.device not in DEVICES:
        raise InputError(f"device is {settings.device!r}, expected one of {', '.join(DEVICES)}")
    if settings.device == "cuda" and not _has_cuda():
        raise InputError("device cuda: torch finds no CUDA GPU here; use --device auto or --device cpu")
    if settings.weights is not None and not cls.takes_weights:
        raise InputError(f"method {name} takes no weights; leave out --weights")
    if lacking := cls.missing(settings.weights):
        raise InputError(f"method {name} cannot run here: {lacking}")
    method = cls(cls.resolve_options(chosen, settings.weights), settings)
    method.check()
    return method


def _has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def with_description(method: "type[Method]", options: Mapping[str, Any], description: str | None) -> dict[str, Any]:
    """Options of a run, with a description of the object added where the method takes one (`Method.text_option`).

    Whatever knows the object in words passes it here: a text prompt, a row of `batch`, a clip's caption in `bench`. An
    option that the user has set, even to an empty text, is left as it is.
    """
    name = method.text_option
    return {name: description, **options} if name and description else dict(options)
