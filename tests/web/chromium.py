"""A real browser, and the page in it."""

import os
import shutil
from contextlib import contextmanager

import pytest

FLAGS = [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    # Chromium's own sandbox does not work for root.
    *(['--no-sandbox'] if getattr(os, 'geteuid', lambda: 1)() == 0 else []),
]
NAMES = ('chromium', 'chromium-browser', 'google-chrome')


def find_browser():
    """Path of the browser: CHROMIUM, or one of `NAMES` on PATH; skips the tests without one."""
    for name in filter(None, (os.environ.get('CHROMIUM'), *NAMES)):
        if path := shutil.which(name):
            return path
    return pytest.skip(f'no browser: CHROMIUM is not set, and none of {NAMES} is on PATH')


@contextmanager
def browser():
    """Chromium by Playwright; skips the tests where one of them is not installed."""
    api = pytest.importorskip('playwright.sync_api')
    path = find_browser()
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


class Visitor:
    """Somebody who uses the page.

    Args:
        page: Playwright's page.
        address: The page's address.
    """

    def __init__(self, page, address):
        page.set_default_timeout(30_000)
        self.page = page
        self.requests = []
        self.errors = []
        page.on('request', lambda request: self.requests.append(request.url))
        page.on('pageerror', lambda error: self.errors.append(str(error)))
        page.goto(address)
        page.wait_for_function('document.querySelector("#figure img")?.naturalWidth > 0')
        page.locator('#table tbody tr').first.wait_for()

    def said(self, part='said'):
        """The sentence of a part."""
        return self.page.locator(f'#{part} [role=status]').inner_text()

    def wait_for(self, text, part='said'):
        """Wait until the sentence of a part contains a text; returns the sentence."""
        self.page.locator(f'#{part} [role=status]', has_text=text).wait_for()
        return self.said(part)

    def wait_for_new_table(self, action):
        """Do something and wait until the answer has replaced the table."""
        self.page.evaluate('document.querySelector("#table table")?.setAttribute("old", "")')
        action()
        self.page.locator('#table table:not([old])').wait_for()
        return self.rows()

    def rows(self):
        """Cells of the table."""
        cells = '[...document.querySelectorAll("#table tbody tr")].map(r => [...r.cells].map('
        return self.page.evaluate(cells + 'c => c.innerText))')

    def type_words(self, words):
        """Type into the words and press Enter."""
        field = self.page.locator('#words textarea')
        field.fill(words)
        field.press('Enter')

    def upload(self, path):
        """Choose a file by the button."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator('#upload').click()
        chooser.value.set_files(path)

    def click_image(self, x, y):
        """Click the shown image, at shares of its width and height."""
        image = self.page.locator('#shown img')
        image.hover()  # waits until the layout stands still: a part of the page may be opening
        box = image.bounding_box()
        where = box['x'] + x * box['width'], box['y'] + y * box['height']
        self.page.mouse.click(*where)
