"""The Python messages of the etcd API, compiled from the server's own .proto files.

Nothing generated is kept in the tree: the first import compiles into a temporary directory that
lives as long as the process. WITAN_PROTO_DIR names another directory of .proto files.
"""

import importlib
import os
import pathlib
import sys
import tempfile

from grpc_tools import protoc

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
FILES = ("kv", "rpc", "lock", "election", "health")


def _proto_dir():
    return pathlib.Path(
        os.environ.get("WITAN_PROTO_DIR", REPOSITORY / "src" / "api" / "etcd" / "proto")
    ).resolve()


def _compile(root, folder, out):
    """Compiles every .proto of `folder`, imports being relative to `root`; False when protoc refuses."""
    sources = [str(p.relative_to(root)) for p in sorted(folder.glob("*.proto"))]
    return protoc.main(["protoc", f"-I{root}", f"--python_out={out}", *sources]) == 0


def _imports_are_flat(folder):
    text = (folder / "rpc.proto").read_text()
    return 'import "kv.proto"' in text


def _load():
    folder = _proto_dir()
    if not (folder / "rpc.proto").exists():
        raise RuntimeError(f"no .proto files in {folder}: set WITAN_PROTO_DIR to where they are")
    # The files import each other either by bare name or by their path below src/.
    root = folder if _imports_are_flat(folder) else folder.parents[2]
    out = tempfile.TemporaryDirectory(prefix="witan-protos-")
    if not _compile(root, folder, out.name):
        raise RuntimeError(f"protoc refused the .proto files of {folder}")
    sys.path.insert(0, out.name)
    prefix = ".".join(folder.relative_to(root).parts)
    names = {f: f"{prefix}.{f}_pb2" if prefix else f"{f}_pb2" for f in FILES}
    return out, {f: importlib.import_module(n) for f, n in names.items()}


_directory, _modules = _load()
kv = _modules["kv"]
rpc = _modules["rpc"]
lock = _modules["lock"]
election = _modules["election"]
health = _modules["health"]
