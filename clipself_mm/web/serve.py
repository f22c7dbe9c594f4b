"""Serves the page on this machine."""

from __future__ import annotations

import errno
import os
import signal
import socket
import tempfile
import warnings
from typing import TYPE_CHECKING

from .answers import PageModels
from .images import MAX_BYTES

if TYPE_CHECKING:
    import gradio as gr

PORTS = 100
"""Ports that are tried, from the wanted one on."""


def find_port(host: str, port: int) -> int:
    """The first free port from `port` on.

    Raises:
        OSError: The host is not one of this machine, the port may not be used, or all are taken.
        ValueError: There is no such port.
    """
    last = min(port + PORTS - 1, 65535)
    if not 1 <= port <= last:
        raise ValueError(f'port {port}: expected 1 to 65535')
    for free in range(port, last + 1):
        try:
            family = socket.getaddrinfo(host, free)[0][0]
            with socket.socket(family) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((host, free))
                return free
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise OSError(f'host {host}, port {free}: {error.strerror}') from error
    raise OSError(f'the ports {port} to {last} are taken')


def serve(models: PageModels, host: str = '127.0.0.1', port: int = 7860) -> None:
    """Serve the page until Ctrl-C or a termination signal, and print its address once it answers.

    Uploads and results lie in a temporary folder, which is removed at the end; no other file is
    served.

    Args:
        models: The models.
        host: Address to listen at; 0.0.0.0 lets other machines in.
        port: If it is taken, the next free one is used.

    Raises:
        ImportError: Gradio is not installed.
        OSError, ValueError: As in `find_port`.
    """
    free = find_port(host, port)
    if free != port:
        print(f'Port {port} is taken, {free} is used.')
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix='clipself_web_') as folder:
        page = launch(models, host, free, folder)
        print(f'The page is at {page.local_url} (Ctrl-C ends it)', flush=True)
        page.block_thread()


def launch(models: PageModels, host: str, port: int, folder: str) -> gr.Blocks:
    """Serve the page in a thread.

    Args:
        models: The models.
        host: Address to listen at.
        port: A free port.
        folder: Uploads and results are written to it.

    Raises:
        ImportError: Gradio is not installed.
    """
    # Gradio reads these when it is imported. It would report each start to its makers, and refuse
    # to start where a proxy is to be used for this machine's own address too.
    os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED='False')
    direct = [os.environ.get('no_proxy') or os.environ.get('NO_PROXY'), 'localhost', host]
    os.environ['no_proxy'] = ','.join(filter(None, direct))
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ImportError("the web page needs gradio: pip install 'clipself_mm[web]'") from error
    from .page import build_page
    from .parts import CSS, THEME

    # Gradio's own, at each click.
    warnings.filterwarnings('ignore', module=r'gradio\.')
    page = build_page(models, folder)
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        ssr_mode=False,
        inbrowser=False,
        enable_monitoring=False,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=MAX_BYTES,
        footer_links=[],
        theme=THEME,
        css=CSS,
    )
    return page
