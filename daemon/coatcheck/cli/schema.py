"""``coatcheck schema``."""

from __future__ import annotations

import json
from typing import Final

import click

KINDS: Final = ("config", "project", "profile", "subjects")


@click.command(short_help="A JSON schema, so that editors complete and explain.")
@click.argument("kind", type=click.Choice(KINDS))
def command(kind: str) -> None:
    """Print a JSON schema (2020-12), so that editors complete and explain: of the configuration, of a project in
    coatcheck.d, of a profile, or of what `subjects:` may say.

    An editor with a YAML language server takes it from a file's first line:
    `# yaml-language-server: $schema=profile.schema.json`. `check` and `profile lint` see more than a schema can.

    \b
    Example:
      coatcheck schema profile > profile.schema.json
    """
    click.echo(json.dumps(_schema(kind), indent=2, ensure_ascii=False))


def _schema(kind: str) -> dict[str, object]:
    from coatcheck.schemas import profiles, settings

    makers = {
        "config": settings.config_schema,
        "project": settings.project_schema,
        "profile": profiles.profile_schema,
        "subjects": settings.subjects_schema,
    }
    return makers[kind]()
