"""What a run folder holds, for comparing two runs byte for byte: times in manifest, report and timings.jsonl aside."""

import hashlib
import json
import re
from pathlib import Path

TIMINGS = re.compile(rb'<section id="timings".*?</section>', re.DOTALL)


def digest(path: Path) -> str:
    data = path.read_bytes()
    if path.name == "manifest.json":
        manifest = json.loads(data)
        del manifest["seconds"], manifest["timings"]
        data = json.dumps(manifest, sort_keys=True).encode()
    if path.name == "report.html":
        assert TIMINGS.search(data), "the report has lost its timings section"
        data = TIMINGS.sub(b"", data)
    return hashlib.sha256(data).hexdigest()


def digests(run: Path) -> dict[str, str]:
    """Hash of every file of a run, by relative path."""
    left_out = (".lock", "timings.jsonl")
    return {
        str(p.relative_to(run)): digest(p) for p in sorted(run.rglob("*")) if p.is_file() and p.name not in left_out
    }
