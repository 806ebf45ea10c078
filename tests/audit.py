"""Known vulnerabilities of the locked packages, as a report: `make audit`.

The PyPA's advisories, which pip-audit reads too, asked of osv.dev in one request. Prints one line a package that has
some and ends with 0, also where osv.dev cannot be reached, which it says: an advisory is to be read, and a build that
worked yesterday works today.
"""

import json
import os
import re
import sys
import urllib.request
from pathlib import Path

URL = os.environ.get("RMAPMODEL_ADVISORIES", "https://api.osv.dev/v1/querybatch")
LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


def locked(text):
    """The (name, version) pairs of a lock file.

    >>> locked("numpy==2.1.0 \\\\\\n    --hash=sha256:00\\ncolorama==0.4 ; sys_platform == 'win32' \\\\\\n")
    [('numpy', '2.1.0'), ('colorama', '0.4')]
    """
    return re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)


def main(lock=LOCK):
    """Prints the report."""
    packages = locked(Path(lock).read_text())
    queries = {"queries": [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages]}
    request = urllib.request.Request(URL, json.dumps(queries).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            results = json.load(answer)["results"]
    except (OSError, ValueError, KeyError) as error:
        print(f"audit: {len(packages)} packages not looked up: {URL} does not answer ({error})")
        return
    found = [(name, version, [each["id"] for each in result.get("vulns", ())])
             for (name, version), result in zip(packages, results)]
    for name, version, advisories in found:
        if advisories:
            print(f"audit: {name} {version}: {', '.join(sorted(advisories))}")
    print(f"audit: {len(packages)} packages, {sum(bool(each[2]) for each in found)} with advisories")


if __name__ == "__main__":
    main(*sys.argv[1:])
