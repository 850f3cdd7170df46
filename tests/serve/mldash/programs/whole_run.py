"""Uses all calls of ML-Dash's SDK that reach a server, and writes what it read back to a JSON file.

python whole_run.py URL PREFIX RESULTS
"""

import json
import math
import sys
import time
import types
from pathlib import Path

from ml_dash import Experiment

url, prefix, results = sys.argv[1:]
is_old = not hasattr(__import__("ml_dash.metric", fromlist=["x"]).MetricBuilder, "read_rows")
read = {}


class Saved:
    """What a library's object for a file is to the client: something that its library can write."""

    def savefig(self, path, **_):
        Path(path).write_bytes(b"figure")


sys.modules["torch"] = types.SimpleNamespace(save=lambda value, path: Path(path).write_bytes(b"torch"))
pyplot = types.SimpleNamespace(gcf=Saved, close=lambda *_: None)
sys.modules["matplotlib"] = types.SimpleNamespace(pyplot=pyplot)
sys.modules["matplotlib.pyplot"] = pyplot

Path("data.bin").write_bytes(bytes(range(256)) * 100)
Path("empty.bin").write_bytes(b"")

exp = Experiment(
    prefix=prefix,
    dash_url=url,
    dash_root=None,
    readme="what it is",
    tags=["x", "y,z"],
    bindrs=["b"],
    metadata={"git": "abc", "list": [1, None]},
)
with exp.run:
    read["id"] = exp.id
    exp.params.set(lr=0.1, model={"depth": 3, "name": "ü"}, items=[1, "a", None])
    exp.params.log(lr=0.2, big=2**60 + 1)
    exp.log("hello", level="info", metadata={"epoch": 1})
    for level in ("debug", "info", "warn", "error", "fatal"):
        getattr(exp.logs, level)(f"a {level} ü\n", step=level)
    for i in range(5):
        exp.metrics("a").log(
            loss=1 / (i + 1), epoch=i, name="t", flag=i % 2 == 0, none=None, nested={"k": [i]}
        )
        exp.metrics("a/b").log(big=2**60 + i, _ts=1_700_000_000.123456 + i)
        for name in ("ü", "sp ace", "train/x-1.2"):
            exp.metrics(name).log(v=i)
        exp.metrics.log(epoch=i, train={"loss": 0.5}, eval={"loss": 0.7})
        exp.tracks("robot/pos").append(q=[0.1, i], cam={"x": i}, _ts=1000.0 + i)
        exp.tracks("/odd//topic").append(v=i, _ts=1.0 + i)
    exp.metrics("mixed").log(x=1)
    exp.metrics("mixed").log(x=2.5)
    exp.metrics("mixed").log(x="text", y=True)
    exp.metrics("mixed").log(z=[1, {"a": 2}])
    for i in range(2500):
        exp.metrics("long").log(i=i)
    models = exp.files("models", description="d", tags=["best", "one,two"], metadata={"m": 1})
    models.upload("data.bin")
    models.upload("empty.bin", to="nothing.bin")
    models.save_json({"a": [1, 2]}, to="c.json")
    models.save_text("text ü", to="t.txt")
    models.save_blob(b"\x00\x01", to="b.bin")
    models.save_torch({"w": 1}, to="m.pt")
    models.save_pkl({"p": 1}, to="p.pkl")
    models.save_fig(Saved(), to="f.png")
    exp.files("other").save_text("another", to="t.txt")
    exp.files("/".join([*prefix.split("/")[:-1], "deep"])).save_text("z", to="z.txt")
    exp.files("sub").upload("data.bin", to="sub/y.bin")
    exp.flush()
    while len(exp.files().list()) < 11:  # a flush does not wait for files
        time.sleep(0.01)

    read["params"] = exp.params.get()
    read["nested"] = exp.params.get(flatten=False)
    read["stats"] = exp.metrics("long").stats()
    read["names"] = sorted(each["name"] for each in exp.metrics("a").list_all())
    if is_old:
        pages, start = [], 0
        while True:
            page = exp.metrics("long").read(start_index=start, limit=1000)
            pages.append([row["data"]["i"] for row in page["data"]])
            start += 1000
            if not page["hasMore"]:
                break
        read["pages"] = pages
        read["a"] = [row["data"] for row in exp.metrics("a").read()["data"]]
    else:
        read["blocks"] = [
            [[column.type for column in block.columns], block.rows]
            for block in exp.metrics("mixed").read_rows().blocks
        ]
        read["pages"] = [
            [row[0] for row in block.rows] for block in exp.metrics("long").iter_row_blocks(limit=1000)
        ]
        page = exp.metrics("long").read_rows(limit=2400)
        exp.metrics("long").log(i=2500)
        exp.flush()
        rest = exp.metrics("long").read_rows(limit=1000, cursor=page.next_cursor)
        read["after"] = [row[0] for block in rest.blocks for row in block.rows]
        read["big"] = [row[0] for block in exp.metrics("a/b").read_rows().blocks for row in block.rows]
    read["track"] = exp.tracks("robot/pos").read()["entries"]
    read["slice"] = len(list(exp.tracks("robot/pos").slice(1001.0, 1003.0)))
    read["jsonl"] = exp.tracks("/odd//topic").read(format="jsonl").decode()

    listed = exp.files("models").list()
    read["files"] = sorted(each["path"].strip("/") + "/" + each["filename"] for each in listed)
    read["glob"] = sorted(each["filename"] for each in exp.files("models").list("*.bin"))
    read["exists"] = [exp.files(path).exists() for path in ("models/t.txt", "other/t.txt", "no/t.txt")]
    read["texts"] = [exp.files(path).read_text() for path in ("models/t.txt", "other/t.txt")]
    exp.files("sub/sub/y.bin").download(to="copy.bin")
    read["same"] = Path("copy.bin").read_bytes() == Path("data.bin").read_bytes()
    exp.files("models/nothing.bin").download(to="copy-of-nothing")
    read["nothing"] = Path("copy-of-nothing").stat().st_size
    read["copies"] = sorted(Path(path).name for path in exp.files("other").download("t*.txt", to="copies"))
    found = next(each for each in exp.files().list() if each["filename"] == "c.json")
    exp.files(file_id=found["id"], description="new").update()
    exp.files("models/p.pkl").delete()
    read["left"] = sorted(each["filename"] for each in exp.files().list())
    changed = next(each for each in exp.files().list() if each["filename"] == "c.json")
    read["updated"] = [changed["description"], changed["tags"]]

again = Experiment(prefix=prefix, dash_url=url, dash_root=None)
with again.run:
    read["again"] = again.id
    again.metrics("a").log(loss=math.pi, epoch=5)

ends = {}
for name in ("failed", "cancelled", "raised", "interrupted"):
    ended = Experiment(prefix=f"{prefix}-{name}", dash_url=url, dash_root=None)
    ends[name] = ended.run
ends["failed"].start()
ends["failed"].fail()
ends["cancelled"].start()
ends["cancelled"].cancel()
for name, error in (("raised", ValueError), ("interrupted", KeyboardInterrupt)):
    try:
        with ends[name]:
            raise error
    except error:
        pass
Path(results).write_text(json.dumps(read))
