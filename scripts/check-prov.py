"""Judges PROV documents: NAME.json and NAME.provn of a directory have to mean the same."""

import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import jsonschema
import prov
from prov.model import ProvDocument

schema_path = pathlib.Path(prov.__file__).parent / "tests" / "schemas" / "prov-json.schema.json"
schema = json.loads(schema_path.read_text())
validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())


def compare(one, one_format, other, other_format):
    """Whether two files mean the same, by the program of the library."""
    arguments = ["-f", one_format, "-F", other_format, str(one), str(other)]
    done = subprocess.run([sys.executable, "-W", "error", "-m", "prov.scripts.compare", *arguments], capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def without_a_record(document):
    """The document without one of its records, which may be in a bundle."""
    places = [document, *document.get("bundle", {}).values()]
    for place in places:
        for kind, records in place.items():
            if kind not in ("prefix", "bundle") and records:
                del records[next(iter(records))]
                return document
    raise AssertionError("the document has no record")


def judge(path):
    text = path.read_text()
    validator.validate(json.loads(text))
    document = ProvDocument.deserialize(content=text, format="json")
    records = len(document.get_records())
    assert records > 0, f"{path} is empty"
    document.unified()
    provn = path.with_suffix(".provn")
    own = ProvDocument.deserialize(content=provn.read_text(), format="provn")
    assert own == document, f"{provn} and {path} differ"
    with tempfile.TemporaryDirectory() as directory:
        written = pathlib.Path(directory) / "written.provn"
        written.write_text(document.get_provn())
        back = pathlib.Path(directory) / "back.json"
        back.write_text(own.serialize(format="json"))
        for one, one_format, other, other_format in [
            (path, "json", provn, "provn"),
            (path, "json", written, "provn"),
            (path, "json", back, "json"),
        ]:
            same, said = compare(one, one_format, other, other_format)
            assert same, f"{one} and {other} differ: {said}"
        # The comparison sees a difference: one record is missing.
        changed = without_a_record(json.loads(text))
        other = pathlib.Path(directory) / "other.json"
        other.write_text(json.dumps(changed))
        same, _ = compare(path, "json", other, "json")
        assert not same, "the comparison sees no difference"
    print(f"{path.name}: {records} records")


documents = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
assert documents, "there are no documents"
for document in documents:
    judge(document)


def judge_drawing(path):
    """A drawing is well-formed XML, with a text in each node, and shows nothing of another kind."""
    root = xml.etree.ElementTree.parse(path).getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert root.tag == name + "svg", root.tag
    known = {name + tag for tag in "svg title desc style defs marker clipPath g path rect text".split()}
    tags = {element.tag for element in root.iter()}
    assert tags <= known, f"{path} has {tags - known}"
    nodes = [node for node in root.iter(name + "g") if "node" in node.get("class", "").split()]
    assert nodes, f"{path} has no node"
    for node in nodes:
        assert all(text.text for text in node.iter(name + "text")), f"{path}: a node without a text"
    print(f"{path.name}: {len(nodes)} nodes")


drawings = sorted(pathlib.Path(sys.argv[1]).glob("*.svg"))
assert drawings, "there are no drawings"
for drawing in drawings:
    judge_drawing(drawing)
