"""`auxot-tools check` as a person types it: lines, an exit code, and never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

SECRET = "a-secret-that-nobody-may-see"
BROKEN = {
    "DOCKER_HOST": "unix:///nobody/listens.sock",
    "AUXOT_UPSTREAM__URL": "http://127.0.0.1:9",
    "AUXOT_UPSTREAM_API_KEY": SECRET,
    "AUXOT_WORKER_KEY": SECRET,
    "AUXOT_ROUTER_URL": "127.0.0.1:9",
    "AUXOT_TOOLS_KEY": f"tls_{SECRET}",
    "AUXOT_ROUTER__LISTEN": "127.0.0.1:1",
}


def typed(folder: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "auxot_tools.cli.main", "check", *options]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUXOT_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False,
                          cwd=folder, env=kept | environ)  # fmt: skip
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done


def test_with_everything_missing_each_thing_is_one_line_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    done = typed(tmp_path, "--json", **BROKEN)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    bad = {line["name"]: line for line in told["lines"] if line["verdict"] == "FAIL"}
    assert {"engine", "upstream", "Auxot router"} <= bad.keys()
    assert all(line["do"] or line["says"] for line in bad.values())


def test_what_never_answers_keeps_no_process_from_its_end() -> None:
    program = """
import threading
import anyio
from auxot_tools.doctor.environment import aside

async def look():
    with anyio.move_on_after(0.05):
        await aside(threading.Event().wait)

anyio.run(look)
print("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          timeout=60, check=True)  # fmt: skip
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_a_broken_configuration_is_a_line_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "auxot.toml").write_text(f"[worker]\nkey = 5\nnonsense = '{SECRET}'\n")
    done = typed(tmp_path, DOCKER_HOST="unix:///nobody/listens.sock")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("FAIL  configuration: worker.nonsense") for line in lines)
    assert any(line.startswith("PASS  tools: ") for line in lines)
    assert all(line[:6] in ("PASS  ", "FAIL  ", "NOTE  ") for line in lines)
