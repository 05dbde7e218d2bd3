"""``coatcheck completion``: what makes a shell complete commands, options and projects."""

from __future__ import annotations

import click


@click.command(short_help="What makes a shell complete commands and options.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the lines by which a shell completes commands, options and project names.

    `scripts/install` puts them where bash, zsh and fish look for them.

    \b
    Example:
      coatcheck completion bash > ~/.local/share/bash-completion/completions/coatcheck
      coatcheck completion zsh > ~/.zfunc/_coatcheck
      coatcheck completion fish > ~/.config/fish/completions/coatcheck.fish
    """
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    assert kind is not None  # click knows all three
    made = kind(root.command, {}, "coatcheck", "_COATCHECK_COMPLETE")
    click.echo(made.source_template % made.source_vars())  # not source(), which looks for a bash on this machine
