"""deploy/sidecar.sh writes and removes what is its own, and nothing else.

The engine is played by a small program that runs what the script would run in a container, so no
container is made. `make test-sidecar` has the script with a real engine.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.programs import Said, run

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "sidecar.sh"
# Only what the script asks for. A file cannot be given to another user by everybody who runs this.
PLAYED_ENGINE = f"""#!{sys.executable}
import sys
words = sys.argv[1:]
home = next((one.removesuffix(":/home") for one in words if one.endswith(":/home")), None)
if "keys" in words:
    command = words[words.index("keys") + 1:]
    with open(home + "/etc/keys.toml", "a") as file:
        file.write(" ".join(command) + "\\n")
    print("rtr_key")
elif "-" in words:
    sys.argv = words[words.index("-"):]
    program = sys.stdin.read().replace("/home", home)
    exec(program.replace("os.chown", "(lambda *_given: None)"))
elif words[0] == "run":
    print(998)
"""
Script = Callable[..., Said]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def script(tmp_path: Path, home: Path) -> Script:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").write_text(PLAYED_ENGINE)
    (programs / "docker").chmod(0o755)

    def play(*arguments: str) -> Said:
        path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
        return run(
            [str(SCRIPT), *arguments],
            {"PATH": path, "AUXOT_HOME": str(home), "AUXOT_IMAGE": "image"},
        )

    return play


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def prepared(script: Script) -> None:
    said = script("prepare")
    assert said.code == 0, said.err


def test_a_folder_of_somebody_else_is_neither_filled_nor_emptied(
    script: Script, home: Path
) -> None:
    (home / "secrets").mkdir(parents=True)
    for name in ("env", "secrets/mine", "client.key"):
        (home / name).write_text("mine")
    before = names(home)
    for command in ("prepare", "clean"):
        said = script(command)
        assert said.code == 1, said.err
        assert str(home) in said.err
        assert names(home) == before


def test_settings_that_were_added_for_compose_stay_when_it_is_prepared_again(
    script: Script, home: Path
) -> None:
    prepared(script)
    made = (home / "env").read_text()
    added = "AUXOT_UPSTREAM__URL=https://models.example\n# mine\nAUXOT_IMAGES=2\n"
    (home / "env").write_text(added + made.replace("AUXOT_IMAGE=image", "AUXOT_IMAGE=older"))
    for _ in range(2):
        prepared(script)
        assert (home / "env").read_text() == made + added


def test_the_end_removes_all_that_was_made(script: Script, home: Path) -> None:
    prepared(script)
    assert {"env", "client.key", "etc/keys.toml", "secrets/worker.key"} < names(home)
    prepared(script)
    assert script("clean").code == 0
    assert not home.exists()


def test_the_end_leaves_what_others_put_there_and_says_so(script: Script, home: Path) -> None:
    home.mkdir()  # one that is empty is taken
    prepared(script)
    (home / "etc" / "auxot.toml").write_text("mine")
    (home / "notes").write_text("mine")
    said = script("clean")
    assert said.code == 0
    assert names(home) == {"etc/auxot.toml", "notes"}
    assert "stays" in said.err
    assert "notes" in said.err


def test_a_key_is_made_and_revoked_by_its_name(script: Script, home: Path) -> None:
    prepared(script)
    assert script("key", "ann").out == "rtr_key\n"
    assert script("revoke", "ann").code == 0
    asked = (home / "etc" / "keys.toml").read_text().splitlines()
    assert asked == ["create --name local", "create --name ann", "revoke ann"]
    assert script("revoke").code != 0
