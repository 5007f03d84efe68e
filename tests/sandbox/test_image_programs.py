"""What ordinary programs need still works under our seccomp profile and limits; in real boxes."""

import pytest

from auxot_tools.sandbox.docker import DockerSandbox
from tests.support.engine import run_program, run_python

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

PYTHON = {
    "processes": """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(pool.map(abs, [-1, -2]))
""",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
print(list(ThreadPoolExecutor(8).map(abs, [-1, -2])))
""",
    "asyncio": """
import asyncio
async def main():
    server = await asyncio.start_unix_server(lambda r, w: w.close(), "/tmp/server")
    await asyncio.open_unix_connection("/tmp/server")
    child = await asyncio.create_subprocess_exec("echo", "1", stdout=-1)
    assert (await child.communicate())[0] == b"1\\n"
    print([1, 2])
asyncio.run(main())
""",
    "libraries": """
import ctypes, decimal, hashlib, mmap, os, random, shutil, socket
import sqlite3, ssl, subprocess, tempfile, time, uuid
sqlite3.connect("/work/x.db").execute("create table t (x)")
with tempfile.TemporaryDirectory() as name:
    shutil.copytree("/etc/ssl/certs", name + "/certs", symlinks=True)
    os.mkfifo(name + "/fifo")
    os.link("/work/x.db", "/work/y.db")
subprocess.run(["true"], check=True, preexec_fn=os.setsid)
os.nice(5)
os.sched_getaffinity(0)
socket.getaddrinfo("localhost", 80)
time.sleep(0.001)
print([1, 2])
""",
    "shared memory": """
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=4096)
block.buf[:2] = bytes([1, 2])
print(list(block.buf[:2]))
block.close()
block.unlink()
""",
}

NODE = """
const {Worker} = require('worker_threads'), {execSync} = require('child_process');
const fs = require('fs'), net = require('net'), crypto = require('crypto');
fs.cpSync('/etc/ssl/certs', '/tmp/certs', {recursive: true, verbatimSymlinks: true});
fs.watch('/tmp').close();
crypto.scryptSync('a', 'b', 32);
execSync('true');
const server = net.createServer(s => s.end()).listen('/tmp/server', () => {
  net.connect('/tmp/server').on('close', () => {
    server.close();
    new Worker('require("worker_threads").parentPort.postMessage([1, 2])', {eval: true})
      .on('message', m => console.log(JSON.stringify(m)));
  }).resume();
});
"""

BASH = """
set -euo pipefail
diff <(echo a) <(echo a)
mkdir -p a/b; echo x > a/b/c; cp -a a d; mv d e; ln -s e f; tar cf - e | tar xf - -C /tmp
mkfifo p; (echo hi > p &); read -r line < p; [ "$line" = hi ]
seq 1000 | sort -R | sort -n | tail -1 | grep -q 1000
timeout 5 nice -n 3 true; touch -d 2020-01-01 g; stat -c %y g | grep -q 2020; install -m 600 g h
printf '#!/bin/sh\\necho run\\n' > s; chmod +x s; ./s
dd if=/dev/zero of=z bs=1k count=9 status=none; split -n 2 z
trap 'echo trapped' TERM; kill -TERM $$; (sleep 0.01 & wait); mktemp -d > /dev/null
sed -i s/x/y/ e/b/c; awk 'BEGIN{print 1+1}'; find e -name c -exec cat {} +
df /work > /dev/null; date -u +%Y > /dev/null; realpath f > /dev/null; nproc > /dev/null
echo '[1,2]' | jq -c .; shuf -i 1-3 | wc -l; id -u
"""


@pytest.mark.parametrize("name", PYTHON)
async def test_python_can(sandbox: DockerSandbox, name: str) -> None:
    ran = await run_python(sandbox, PYTHON[name])
    assert (ran.stdout, ran.stderr, ran.outcome.exit_code) == ("[1, 2]\n", "", 0)


async def test_node_can(sandbox: DockerSandbox) -> None:
    ran = await run_program(sandbox, "node", "-", stdin=NODE.encode())
    assert (ran.stdout, ran.stderr, ran.outcome.exit_code) == ("[1,2]\n", "", 0)


async def test_bash_and_the_usual_programs_can(sandbox: DockerSandbox) -> None:
    ran = await run_program(sandbox, "bash", "-s", stdin=BASH.encode())
    *answers, user = ran.stdout.splitlines()
    assert answers == ["run", "trapped", "2", "y", "[1,2]", "3"]
    assert 63000 <= int(user) < 63512
    assert (ran.stderr, ran.outcome.exit_code) == ("", 0)


async def test_curl_says_that_there_is_no_network(sandbox: DockerSandbox) -> None:
    ran = await run_program(sandbox, "curl", "-sS", "--max-time", "5", "http://192.0.2.1/")
    assert ran.outcome.exit_code == 7  # "failed to connect"
