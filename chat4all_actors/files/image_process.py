"""The process that reads one image: from its bytes to its dimensions and a thumbnail.

It imports nothing of ours, and runs with limits of memory, of processor time and of pixels: what an
image from anywhere does to a decoder happens here. It is given the bytes on standard input, and
answers on standard output with one line of JSON (`{"width", "height", "thumbnail": bytes}`), after
which the thumbnail follows, a JPEG. An image that can't be read ends it with status 1.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import warnings

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
QUALITY = 80


def main(side: int, max_pixels: int, memory: int, seconds: int) -> None:
    """Read the image; `side` is the longer one of the thumbnail."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    from PIL import Image, ImageOps

    Image.init()  # what reads the formats is loaded before memory is limited
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    with Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=FORMATS) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) >= 5  # lies on its side
        image.draft("RGB", (2 * side, 2 * side))  # a JPEG is read in the size that is needed
        image.thumbnail((side, side))
        upright = ImageOps.exif_transpose(image)
        if upright.mode not in ("RGB", "L"):
            seen = upright.convert("RGBA")
            upright = Image.new("RGB", seen.size, "white")
            upright.paste(seen, mask=seen.getchannel("A"))
        made = io.BytesIO()
        upright.save(made, "JPEG", quality=QUALITY, optimize=True)
    if turned:
        width, height = height, width
    told = {"width": width, "height": height, "thumbnail": made.tell()}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + made.getvalue())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        main(*(int(argument) for argument in sys.argv[1:]))
    except (Exception, MemoryError) as error:
        # What is wrong with an image is for whoever looks for it; its bytes are never in it.
        print(type(error).__name__, file=sys.stderr)
        sys.exit(1)
