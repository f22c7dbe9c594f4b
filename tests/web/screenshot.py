"""Takes the image of the page for the README, from a page that runs.

python tools/web.py
python -m tests.web.screenshot http://127.0.0.1:7860 docs/images/web_page.png
"""

import io
import sys

from PIL import Image

from tests.web.chromium import Visitor, browser

SIZE = dict(width=1280, height=774)


def main(address, out):
    with browser() as chromium:
        visitor = Visitor(chromium.new_page(viewport=SIZE, color_scheme='light'), address)
        visitor.page.evaluate('document.fonts.ready')
        image = Image.open(io.BytesIO(visitor.page.screenshot(animations='disabled')))
    # Few colours: a third of the size.
    image.convert('RGB').quantize(150, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
