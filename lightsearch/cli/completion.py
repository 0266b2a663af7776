"""`lightsearch completion`, and the completion of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_names(names: Iterable[str]) -> Completer:
    """Return a `shell_complete` that offers these names."""

    def complete(_: click.Context, __: click.Parameter, prefix: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in names if name.startswith(prefix)]

    return complete


@click.command(short_help="Print the script that completes this command in a shell.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and names in SHELL.

    \b
    bash:  echo 'eval "$(lightsearch completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(lightsearch completion zsh)"' >> ~/.zshrc
    fish:  echo 'lightsearch completion fish | source' >> ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(
        kind(context.find_root().command, {}, "lightsearch", "_LIGHTSEARCH_COMPLETE").source()
    )
