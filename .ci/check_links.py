"""Check what the strict build of the documentation does not: local links and pictures in Markdown files.

    python .ci/check_links.py README.md CONTRIBUTING.md docs

Prints every link to a file that does not exist, or that git does not know, and exits with 1 if there is one.
"""

import re
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s#]+)[^)]*\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def broken_links(page: Path, known: set[Path]) -> list[str]:
    targets = LINK.findall(CODE.sub("", page.read_text("utf-8")))
    local = [target for target in targets if ":" not in target]
    return [target for target in local if (page.parent / target).resolve() not in known]


def main() -> int:
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], text=True)
    known = {Path(name).resolve() for name in listed.splitlines() if Path(name).exists()}
    given = [Path(name) for name in sys.argv[1:]]
    pages = [page for path in given for page in (sorted(path.rglob("*.md")) if path.is_dir() else [path])]
    broken = [f"{page}: {target} does not exist" for page in pages for target in broken_links(page, known)]
    print(*broken, sep="\n", end="\n" if broken else "")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
