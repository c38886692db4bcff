"""Serves OpenAI's API in front of Sandle's backends, or of any OpenAI-style servers: keys, routing, pass-through."""

import pathlib
import sys
from collections.abc import Mapping

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import click

import wrapper_admin
import wrapper_app
import wrapper_models
import wrapper_page
from sandle import error_reports, log, tracing
from sandle.app import Lifecycle
from sandle.options import CONTEXT_SETTINGS
from sandle.server import serve
from wrapper_admission import Admission
from wrapper_backend import Backend
from wrapper_exchange import Watcher
from wrapper_forward import Forwarder, Timeouts
from wrapper_inquiries import Inquiries
from wrapper_limits import Limiter
from wrapper_metrics import Metrics
from wrapper_options import Settings, with_settings
from wrapper_queue import Queue
from wrapper_registry import Registry
from wrapper_url import parse_url
from wrapper_usage import UsageBook


@click.group(context_settings=CONTEXT_SETTINGS, invoke_without_command=True)
@with_settings
def main(context: click.Context, settings: Settings) -> None:
    """Serve OpenAI's API in front of backends: API keys, routing by model, and answers passed on as they come."""
    context.obj = settings
    if context.invoked_subcommand is not None:
        return
    log.configure(settings.log_level, settings.log_format)
    error_reports.start('openai-wrapper')
    tracing.start('openai-wrapper')
    watcher = Watcher()
    backends = open_backends(settings, watcher)
    keys = wrapper_admin.open_keys(settings.auth_token, settings.auth_token_file, settings.state_dir)
    registry = Registry(backends, settings.allowed_models)
    book = UsageBook(settings.state_dir)
    limiter = Limiter(book.tokens_today)
    queue = Queue(registry.takers, settings.bounds)
    registry.on_change(queue.changed)
    inquiries = Inquiries(watcher, limiter, book)
    forwarder = Forwarder(watcher, inquiries, Timeouts(settings.first_byte_timeout_s, settings.idle_timeout_s))
    admission = Admission(limiter, queue, book)
    pages = load_pages(settings)
    lifecycle = Lifecycle()
    app = wrapper_app.create_app(
        lifecycle, keys, registry, forwarder, admission, book, Metrics(lifecycle, registry, queue, book),
        wrapper_app.Policy(frozenset(settings.pass_field), settings.auth_token_is_user, settings.compat,
                           settings.cors_origin, pages))
    keys.watch(settings.keys_reload_s)
    registry.start()
    book.start()
    inquiries.start()
    serve(app, settings.serving, settings.threads, lifecycle, lambda: end_all(queue, inquiries, watcher))
    book.stop()


def end_all(queue: Queue, inquiries: Inquiries, watcher: Watcher) -> None:
    """Ends what is left: the process ends."""
    queue.end_all()
    inquiries.stop()
    watcher.end_all()


def open_backends(settings: Settings, watcher: Watcher) -> list[Backend]:
    """Returns the backends. Raises ClickException."""
    if not settings.backend_urls:
        raise click.ClickException('No backend: give --backend-hf, --backend-llama, --backend-ct2, --backend-stub or '
                                   '--backend.')
    try:
        return [Backend(parse_url(url), settings.connect_timeout_s, watcher) for url in settings.backend_urls]
    except ValueError as error:
        raise click.ClickException(f'Bad backend: {error}.') from None


def load_pages(settings: Settings) -> Mapping[str, wrapper_page.StaticFile]:
    """Returns the files of the page and of the documentation by their addresses. Raises ClickException."""
    pages = {} if settings.page_dir is None else wrapper_page.load(settings.page_dir, '/')
    if settings.page_dir is not None and '/' not in pages:
        raise click.ClickException(f'--page-dir {settings.page_dir} holds no index.html: build the page first.')
    return pages if settings.docs_dir is None else pages | wrapper_page.load(settings.docs_dir, wrapper_page.DOCS)


main.add_command(wrapper_admin.keys)
main.add_command(wrapper_models.models)

if __name__ == '__main__':
    main()
