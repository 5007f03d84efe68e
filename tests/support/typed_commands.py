"""A group of commands as a person types them, run in this process by click's own runner."""

from collections.abc import Mapping
from dataclasses import dataclass

from click.testing import CliRunner, Result

from auxot_tools.cli.main import cli
from auxot_tools.errors import AuxotError


@dataclass(frozen=True)
class TypedCommands:
    """`auxot-tools GROUP …` with this environment."""

    group: str
    environment: Mapping[str, str | None]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, [self.group, *arguments], env=self.environment)

    def done(self, *arguments: str) -> str:
        """What a command that works says on stdout."""
        result = self.run(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def refused(self, *arguments: str) -> str:
        """What is told of a command line that is refused, or raised for `main` to tell."""
        result = self.run(*arguments)
        assert result.exit_code != 0
        assert not result.stdout
        if isinstance(result.exception, AuxotError):
            return str(result.exception)
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == 2
        return result.stderr
