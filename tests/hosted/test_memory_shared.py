"""Whose memory it is: keys apart, many at once, damage, and inputs of any kind."""

import sqlite3
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auxot_tools.hosted.memory import MemoryTool
from auxot_tools.hosted.memory_store import MemoryStore
from auxot_tools.types import Status
from tests.support.memory_calls import NOTES, answered, done, refused, text_of, written

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path / "state" / "memory.db")


@pytest.fixture
def tool(store: MemoryStore) -> MemoryTool:
    return MemoryTool(store)


# -- whose it is, and how long ---------------------------------------------------------------------


async def test_two_keys_never_see_each_other_and_no_key_is_a_key_too(tool: MemoryTool) -> None:
    tenants = ("ann", "bob", "", "ANN", "ann ")
    for tenant in tenants:
        await written(tool, NOTES, text=f"of <{tenant}>", tenant=tenant)
    await done(tool, "str_replace", "bob", path=NOTES, old_str="of", new_str="by")
    await done(tool, "rename", "", old_path=NOTES, new_path="/memories/other")
    await done(tool, "delete", "ANN", path=NOTES)
    assert await text_of(tool, NOTES, "ann") == ["of <ann>"]
    assert await text_of(tool, NOTES, "ann ") == ["of <ann >"]
    assert await text_of(tool, NOTES, "bob") == ["by <bob>"]
    assert await text_of(tool, "/memories/other", "") == ["of <>"]
    assert "does not exist" in await refused(tool, "view", "ann", path="/memories/other")
    assert "does not exist" in await refused(tool, "view", "ANN", path=NOTES)


async def test_what_is_kept_is_there_when_the_worker_starts_again(tmp_path: Path) -> None:
    await written(MemoryTool(MemoryStore(tmp_path / "m.db")), NOTES, text="kept")
    assert await text_of(MemoryTool(MemoryStore(tmp_path / "m.db")), NOTES) == ["kept"]


async def test_twenty_at_once_lose_nothing(tool: MemoryTool, tmp_path: Path) -> None:
    other = MemoryTool(MemoryStore(tmp_path / "state" / "memory.db"))  # as another process has it
    await written(tool, NOTES, text="")

    async def write(number: int) -> None:
        user = tool if number % 2 else other
        await done(user, "insert", path=NOTES, insert_line=0, insert_text=f"line {number}")
        await done(user, "create", path=f"/memories/{number}", file_text="x")

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(write, number)
    assert sorted(await text_of(tool, NOTES)) == sorted(f"line {number}" for number in range(20))
    assert len((await done(tool, "view", path="/memories")).splitlines()) == 2 + 21


async def test_one_of_many_creates_a_file(tool: MemoryTool) -> None:
    ended: list[Status] = []

    async def create() -> None:
        ended.append((await answered(tool, "create", path=NOTES, file_text="x"))[0])

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(create)
    assert ended.count(Status.COMPLETED) == 1


async def test_a_memory_in_use_is_unavailable_when_the_time_is_over(
    tool: MemoryTool, tmp_path: Path
) -> None:
    await written(tool, NOTES)
    held = sqlite3.connect(tmp_path / "state" / "memory.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    try:
        status, text = await answered(tool, "delete", wait_s=0.2, path=NOTES)
        assert (status, "Try again" in text) == (Status.UNAVAILABLE, True)
        assert await text_of(tool, NOTES)  # reading waits for nobody
    finally:
        held.close()
    assert await done(tool, "delete", path=NOTES)


async def test_a_memory_that_comes_to_harm_is_unavailable_and_the_model_goes_on(
    tool: MemoryTool, tmp_path: Path
) -> None:
    await written(tool, NOTES)
    (tmp_path / "state" / "memory.db").write_bytes(b"garbage" * 2000)
    for command in ("view", "delete"):
        status, text = await answered(tool, command, path=NOTES)
        assert status is Status.UNAVAILABLE
        assert text.startswith("The memory cannot be used now")
        assert "sqlite" not in text.lower()
        assert str(tmp_path) not in text


# -- properties ------------------------------------------------------------------------------------

_TEXT = st.text(st.sampled_from("ab\n\r\tü"), max_size=30)
_QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_PATHS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(["..", ".", "", "%2e%2e", "a", "\x00", "..\\", "memories", "é", "~", "\n"]),
        max_size=12,
    ).map(lambda names: "/memories/" + "/".join(names)),
)


@_QUICK
@given(path=_PATHS, other=_PATHS)
async def test_no_path_escapes_or_breaks_anything(
    tmp_path_factory: pytest.TempPathFactory, path: str, other: str
) -> None:
    folder = tmp_path_factory.mktemp("memory")
    tool = MemoryTool(MemoryStore(folder / "state" / "memory.db"))
    for command, arguments in (
        ("create", {"path": path, "file_text": "x"}),
        ("view", {"path": path}),
        ("insert", {"path": path, "insert_line": 0, "insert_text": "y"}),
        ("rename", {"old_path": path, "new_path": other}),
        ("delete", {"path": other}),
    ):
        status, text = await answered(tool, command, **arguments)
        assert status in {Status.COMPLETED, Status.INVALID_ARGUMENTS}
        assert text
        text.encode()
    found = {str(one.relative_to(folder)) for one in folder.rglob("*")}
    assert found <= {"state", *(f"state/memory.db{end}" for end in ("", "-wal", "-shm"))}


@_QUICK
@given(text=_TEXT, old=st.text("ab\n", min_size=1, max_size=4), new=_TEXT)
async def test_a_replacement_is_what_replacing_the_one_place_gives(
    tmp_path_factory: pytest.TempPathFactory, text: str, old: str, new: str
) -> None:
    store = MemoryStore(tmp_path_factory.mktemp("memory") / "memory.db")
    tool = MemoryTool(store)
    await written(tool, NOTES, text=text)
    places = [at for at in range(len(text)) if text.startswith(old, at)]
    status, _ = await answered(tool, "str_replace", path=NOTES, old_str=old, new_str=new)
    assert (status is Status.COMPLETED) is (len(places) == 1)
    with store.reading("ann") as files:
        expected = text.replace(old, new) if len(places) == 1 else text
        assert files.text(NOTES) == expected
