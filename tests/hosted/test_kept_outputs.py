"""Long outputs are kept for their key, for a while, within bounds."""

from auxot_tools.hosted.kept_outputs import OutputStore


def test_an_output_is_found_by_its_key_only_and_for_its_time() -> None:
    now = [0.0]
    store = OutputStore("abcdef123", 2**20, 60, clock=lambda: now[0])
    handle = store.keep("alice", "text")
    assert handle.startswith("out_abcdef_")
    assert store.find("alice", handle) == "text"
    assert store.find("bob", handle) is None
    now[0] = 59.9
    assert store.find("alice", handle) == "text"
    now[0] = 60.0
    assert store.find("alice", handle) is None
    assert not store._bytes


def test_a_key_displaces_its_own_oldest_outputs_and_not_those_of_others() -> None:
    store = OutputStore("w", 4000, 60)
    others = store.keep("bob", "b" * 100)
    handles = [store.keep("alice", str(number) * 250) for number in range(6)]
    found = [store.find("alice", handle) is not None for handle in handles]
    assert found == [False, False, True, True, True, True]
    assert store.find("bob", others) is not None


def test_all_keys_together_have_bounded_memory() -> None:
    store = OutputStore("w", 4000, 60)
    handles = [(f"key{n}", store.keep(f"key{n}", "x" * 250)) for n in range(40)]
    kept = [store.find(key, handle) for key, handle in handles]
    assert sum(len(text) for text in kept if text) <= 4000
    assert kept[-1] is not None


def test_too_large_an_output_is_kept_from_its_beginning() -> None:
    store = OutputStore("w", 4000, 60)
    text = store.find("k", store.keep("k", "\u20ac" * 1000))
    assert text is not None
    assert 0 < len(text) <= 250
