"""`exp serve`: serve records and experiments to browsers and other machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nemorun_cli.cli import completion, serving, terminal
from nemorun_cli.cli.options import Json, ServerRoot
from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from nemorun_cli.serve.process import Ready


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[token add|token list|token revoke|check]",
            help="Another command, with options of its own.",
            autocompletion=completion.server_commands,
            show_default=False,
        ),
    ] = None,
    *,
    root: ServerRoot = None,
    dash_roots: Annotated[
        list[str] | None,
        typer.Option(
            "--dash-root",
            metavar="FOLDER",
            help="Without --root: also serve the records in this folder. Repeatable.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Listen on this address.")
    ] = "127.0.0.1",
    port: Annotated[
        str, typer.Option("--port", metavar="N", help="Listen on this port; 0 chooses a free one.")
    ] = str(serving.DEFAULT_PORT),
    uds: Annotated[
        str | None,
        typer.Option("--uds", metavar="PATH", help="Listen on a unix socket, which only you can use."),
    ] = None,
    certificate: Annotated[
        str | None, typer.Option("--tls-cert", metavar="FILE", help="Use TLS with this certificate (PEM).")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--tls-key", metavar="FILE", help="The private key of the certificate (PEM)."),
    ] = None,
    is_behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy", help="A proxy with TLS answers clients: trust its X-Forwarded headers."
        ),
    ] = False,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host", metavar="NAME", help="Answer requests for this host name, too. Repeatable."
        ),
    ] = None,
    allows_control: Annotated[
        bool,
        typer.Option(
            "--control",
            help="Let tokens with the scope `control` cancel, resume, rerun, tag and note what is here; "
            "allowed anyway on loopback and with --uds.",
        ),
    ] = False,
    is_private: Annotated[
        bool, typer.Option("--private", help="Users read only what is below their own prefixes.")
    ] = False,
    largest_file: Annotated[
        str | None, typer.Option("--max-file", metavar="SIZE", help="Refuse larger files (default: 10G).")
    ] = None,
    quota: Annotated[
        str | None, typer.Option("--quota", metavar="SIZE", help="Refuse files of a user beyond this sum.")
    ] = None,
    logs_requests: Annotated[
        bool, typer.Option("--log-requests", help="Write one line for each request to standard error.")
    ] = False,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    is_json: Json = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print the address without a token that signs in.")
    ] = False,
) -> int:
    """Serve records and experiments to browsers and other machines.

    Prints an address that signs a browser in, once. Without --root, it serves those of this machine; with it,
    it collects those that other machines send. Ends with Ctrl-C.

    Examples:
      exp serve --open
      exp serve --root /srv/exp --tls-cert cert.pem --tls-key key.pem --host 0.0.0.0
      exp serve token add alice -q --root /srv/exp
      ssh -L 8300:localhost:8300 cluster      then open the address that exp serve prints there
    """
    if words:
        raise UsageError(
            f"there is no command exp serve {' '.join(words)}",
            hint="there are: exp serve token add, token list, token revoke, check",
        )
    serving.require_extra()
    from nemorun_cli.serve import process  # noqa: PLC0415 - it needs the extra
    from nemorun_cli.serve.listening import Listening  # noqa: PLC0415 - the same

    where = Listening(
        host=host,
        port=serving.port(port),
        uds=serving.path_if_given(uds),
        certificate=serving.path_if_given(certificate),
        key=serving.path_if_given(key),
        is_behind_proxy=is_behind_proxy,
        names=tuple(names or ()),
    )
    if is_behind_proxy and not names:
        terminal.warn("requests that name another host than localhost are refused; add --allowed-host NAME")
    site = serving.site(
        root,
        dash_roots or (),
        allows_control=allows_control,
        is_local=where.is_local,
        is_private=is_private,
        largest_file=serving.size("--max-file", largest_file),
        quota=serving.size("--quota", quota),
    )

    def report(ready: Ready) -> None:
        serving.report(ready, site, is_json=is_json, quiet=quiet, opens=opens)

    return process.run(site, where, logs_requests=logs_requests, on_ready=report)
