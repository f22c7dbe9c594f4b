"""Serves the page on this machine."""

from __future__ import annotations

import errno
import os
import socket
import tempfile

from .answers import PageModels
from .images import MAX_BYTES

PORTS = 100
"""Ports that are tried, from the wanted one on."""


def find_port(host: str, port: int) -> int:
    """The first free port from `port` on.

    Raises:
        OSError: The host is not one of this machine, or all are taken.
    """
    family = socket.getaddrinfo(host, port)[0][0]
    last = min(port + PORTS, 65536)
    for free in range(port, last):
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, free))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return free
    raise OSError(f'the ports {port} to {last - 1} are taken')


def serve(models: PageModels, host: str = '127.0.0.1', port: int = 7860) -> None:
    """Serve the page until Ctrl-C, and print its address once it answers.

    Uploads and results lie in a temporary folder, which is removed at the end; no other file is
    served.

    Args:
        models: The models.
        host: Address to listen at; 0.0.0.0 lets other machines in.
        port: If it is taken, the next free one is used.

    Raises:
        ImportError: Gradio is not installed.
        OSError: As in `find_port`.
    """
    free = find_port(host, port)
    with tempfile.TemporaryDirectory(prefix='clipself_web_') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder
        from .parts import CSS, THEME  # gradio's import is in it
        from .page import build_page  # isort: skip

        page = build_page(models, folder)
        page.launch(
            server_name=host,
            server_port=free,
            share=False,
            ssr_mode=False,
            inbrowser=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=MAX_BYTES,
            footer_links=[],
            theme=THEME,
            css=CSS,
        )
        if free != port:
            print(f'Port {port} is taken.')
        print(f'The page is at {page.local_url} (Ctrl-C ends it)', flush=True)
        page.block_thread()
