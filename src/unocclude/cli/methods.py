"""`unocclude methods`: list the methods and whether they can run here."""

import json
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unocclude.cli.echo import echo
from unocclude.errors import InputError

if TYPE_CHECKING:
    from unocclude.methods.base import Method


def run(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead.")] = False,
) -> None:
    """List the methods, their options, and whether they can run here."""
    from unocclude.methods import METHODS

    found = [describe(name) for name in METHODS]
    if as_json:
        echo(json.dumps(found, indent=1))
    else:
        echo("\n\n".join(as_text(method) for method in found))


def describe(name: str) -> dict[str, Any]:
    """Describe a method as JSON."""
    from unocclude.methods import METHODS, get_method

    try:
        return _describe(get_method(name))
    except (ImportError, InputError) as error:
        missing = str(error)
    except Exception as error:
        if not METHODS.provider(name):
            raise
        missing = str(METHODS.broken(name, f"{type(error).__name__}: {error}"))
    return {"name": name, "summary": "", "runs_here": False, "missing": missing, "options": []}


def _describe(cls: "type[Method]") -> dict[str, Any]:
    missing = cls.missing(None)
    return {
        "name": cls.name,
        "summary": cls.summary,
        "version": cls.version,
        "runs_here": not missing,
        "missing": missing,
        "needs": cls.needs,
        "takes_weights": cls.takes_weights,
        "samples_hypotheses": cls.samples,
        "options": [
            {
                "name": key,
                "type": _type_name(field.annotation),
                "default": field.get_default(call_default_factory=True),
                "description": field.description or "",
            }
            for key, field in cls.Options.model_fields.items()
        ],
    }


def _type_name(annotation: Any) -> str:
    from typing import Literal, get_args, get_origin

    if get_origin(annotation) is Literal:
        return "|".join(str(choice) for choice in get_args(annotation))
    return getattr(annotation, "__name__", str(annotation)) if not get_args(annotation) else str(annotation)


def as_text(method: dict[str, Any]) -> str:
    """Format one method as plain text."""
    lines = [f"{method['name']}: {method['summary']}" if method["summary"] else method["name"]]
    if needs := method.get("needs"):
        lines.append(f"  needs: {needs}")
    lines.append("  runs here: " + ("yes" if method["runs_here"] else f"no: {method['missing']}"))
    if method.get("samples_hypotheses"):
        lines.append("  can draw several --hypotheses")
    if method["options"]:
        lines.append("  options (--set KEY=VALUE):")
        settings = [f"{option['name']}={_shown(option['default'])}" for option in method["options"]]
        width = max(len(setting) for setting in settings)
        for setting, option in zip(settings, method["options"], strict=True):
            text = f"{option['type']}; {option['description']}" if option["description"] else option["type"]
            head = f"    {setting:<{width}}  "
            lines += textwrap.wrap(
                text, 110, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False
            )
    return "\n".join(lines)


def _shown(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
