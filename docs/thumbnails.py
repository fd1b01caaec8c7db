"""
Make the pictures of the gallery from the notebooks: ``python docs/thumbnails.py``.

In: stored notebooks, each with one cell that has the tag ``thumbnail`` and a picture in
its output. Out: ``docs/examples/NAME.png``.
"""

import base64
import io
import json
from pathlib import Path

from PIL import Image, ImageOps

EXAMPLES = Path(__file__).parent / "examples"
SIZE = (400, 260)


def picture_of(path):
    """Return the picture in the output of the cell with the tag ``thumbnail``."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    pictures = [
        output["data"]["image/png"]
        for cell in cells
        if "thumbnail" in cell["metadata"].get("tags", [])
        for output in cell["outputs"]
        if "image/png" in output.get("data", {})
    ]
    if len(pictures) != 1:
        raise SystemExit(
            f"{path} needs one picture from a cell with the tag `thumbnail`; it has "
            f"{len(pictures)}"
        )
    data = pictures[0] if isinstance(pictures[0], str) else "".join(pictures[0])
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def main():
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        picture = ImageOps.pad(picture_of(path), SIZE, color="white")
        picture.quantize(64).save(path.with_suffix(".png"), optimize=True)
        print(path.with_suffix(".png"))


if __name__ == "__main__":
    main()
