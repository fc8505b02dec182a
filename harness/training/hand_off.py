"""Hand-off: what other tools read beside a set's Parquet parts: Croissant, a DVC pointer, the proof."""

import hashlib
import json
from pathlib import Path
from typing import Any

from harness.training.files import MANIFEST, write_json
from harness.training.spec import spec_of

PROOF, CROISSANT, DVC = "proof.json", "croissant.json", "data.dvc"
_WORDS = {
    "double": "sc:Float",
    "int64": "sc:Integer",
    "bool": "sc:Boolean",
    "string": "sc:Text",
    "timestamp[us, tz=UTC]": "sc:DateTime",
}
# The context of Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html), and
# what else its validator expects of one.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_hand_off(folder: Path, manifest: dict[str, Any], root: bytes, rooted_at: int) -> None:
    """Write the files of other tools into a set's folder: what they say is in the manifest already."""
    write_json(folder / PROOF, proof_of(manifest, root, rooted_at))
    write_json(folder / CROISSANT, croissant(manifest))
    (folder / DVC).write_text(dvc_pointer(folder, manifest), encoding="utf-8")


def proof_of(manifest: dict[str, Any], root: bytes, rooted_at: int) -> dict[str, Any]:
    """Return what stands for all rows: their digest, the history they were cut from, the root over them."""
    return {
        "set": manifest["id"],
        "log": manifest["log"],
        "as_of": manifest["as_of"],
        "digest": manifest["digest"],
        "root": root.hex(),
        "rows": manifest["rows"],
        "rooted_at": rooted_at,
    }


def dvc_pointer(folder: Path, manifest: dict[str, Any]) -> str:
    """Return the text of the pointer that `dvc add data` would write: the MD5 of a list of MD5s.

    MD5 is DVC's own identity of files, and no proof of anything.
    """
    listed = sorted(
        (part["file"].removeprefix("data/"), _md5(folder / part["file"])) for part in manifest["parts"]
    )
    text = json.dumps([{"md5": md5, "relpath": name} for name, md5 in listed])
    whole = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    size = sum(part["bytes"] for part in manifest["parts"])
    lines = ["outs:", f"- md5: {whole}.dir", f"  size: {size}", f"  nfiles: {len(listed)}"]
    return "\n".join([*lines, "  hash: md5", "  path: data", ""])


def croissant(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a set in Croissant 1.0: its files with their SHA-256, its columns."""
    spec = spec_of(manifest["cut"])
    files = [
        {
            "@type": "cr:FileObject",
            "@id": part["file"],
            "name": part["file"],
            "contentUrl": part["file"],
            "encodingFormat": "application/x-parquet",
            "contentSize": f"{part['bytes']} B",
            "sha256": part["sha256"],
        }
        for part in manifest["parts"]
    ]
    parts = {
        "@type": "cr:FileSet",
        "@id": "parts",
        "name": "parts",
        "encodingFormat": "application/x-parquet",
        "includes": "data/*.parquet",
    }
    labels = ", ".join(rule.name for rule in spec.labels)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest["id"],
        "description": (
            f"Decisions of {spec.decision_point} with label {labels}, as served and as known at position "
            f"{manifest['as_of']['position']} of log {manifest['log']}. {MANIFEST} has the whole account."
        ),
        "version": "1.0.0",
        "identifier": f"sha256:{manifest['digest']}",
        "datePublished": manifest["as_of"]["time"],
        "distribution": [*files, parts],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": _fields(manifest)}],
    }


def _fields(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:Field",
            "@id": f"rows/{name}",
            "name": name,
            "dataType": _WORDS.get(kind.removeprefix("list<item: ").removesuffix(">"), "sc:Text"),
            **({"repeated": True} if kind.startswith("list") else {}),
            "source": {"fileSet": {"@id": "parts"}, "extract": {"column": name}},
        }
        for name, kind in manifest["columns"].items()
    ]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
